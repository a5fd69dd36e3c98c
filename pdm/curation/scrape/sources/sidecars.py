"""Sidecar files of the pictures of a folder: their captions and their boxes.

`NAME.txt` has the captions of `NAME.jpg`, one per line, and `NAME.boxes.json` its boxes
(`pdm.data.annotations.boxes`). Such a file has no entry of its own.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pdm.counts import counted
from pdm.curation.scrape.boxes import ENDING, read_boxes
from pdm.curation.scrape.entries import Outcome
from pdm.curation.scrape.text import MAX_TEXT_BYTES, clean_captions, open_text
from pdm.errors import BadInput

logger = logging.getLogger(__name__)

MAX_CHARACTERS = 64 * MAX_TEXT_BYTES  # read of a file of captions


@dataclass(slots=True)
class Sidecars:
    """Captions and boxes by picture, and the files that they are from."""

    captions: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    boxes: dict[Path, str] = field(default_factory=dict)  # JSON; only of usable files
    files: set[Path] = field(default_factory=set)


def read_sidecars(root: Path, outcomes: Mapping[Path, Outcome]) -> Sidecars:
    """Read the files of captions and of boxes beside the pictures of a folder.

    What cannot be used of them is counted in the log; the pictures stay.

    Args:
        root: The folder, for the log.
        outcomes: Of all its files.
    """
    found = Sidecars()
    num_ok = sum(outcome.status == "ok" for outcome in outcomes.values())
    _read_captions(root, outcomes, num_ok, found)
    _read_boxes(root, outcomes, num_ok, found)
    return found


def _sidecars_with(outcomes: Mapping[Path, Outcome], ending: str) -> dict[Path, Path]:
    """The file with this ending of each picture that has one, unless it is a picture itself."""
    files = {}
    for path, outcome in outcomes.items():
        file = path.with_suffix(ending)
        usable = file != path and file in outcomes and outcomes[file].reason == "not_image"
        if outcome.status == "ok" and usable and file.is_file():
            files[path] = file
    return files


def _read_captions(
    root: Path, outcomes: Mapping[Path, Outcome], num_ok: int, found: Sidecars
) -> None:
    files, changed = _sidecars_with(outcomes, ".txt"), []
    for path, file in files.items():
        found.captions[path], is_same = _captions_in(file)
        changed += [] if is_same else [file]
    found.files |= set(files.values())
    if changed:
        logger.warning(
            "scrape: %s not in UTF-8, or with captions that are too long, too many or repeated; "
            "what does not fit is left out; the first file is %s",
            counted(len(changed), "caption file"),
            changed[0],
        )
    if files:
        num_with = sum(map(bool, found.captions.values()))
        logger.info("scrape: %s: %s of %s with a caption", root, num_with, counted(num_ok, "file"))


def _captions_in(path: Path) -> tuple[tuple[str, ...], bool]:
    """The lines of a text file that are not blank, and whether all of them could be used."""
    try:
        with open_text(path) as file:
            text = file.read(MAX_CHARACTERS)
    except (OSError, BadInput):
        return (), False
    lines = tuple(line for part in text.splitlines() if (line := part.strip()))
    captions = clean_captions(lines)
    return captions, captions == lines and len(text) < MAX_CHARACTERS and "\ufffd" not in text


def _read_boxes(root: Path, outcomes: Mapping[Path, Outcome], num_ok: int, found: Sidecars) -> None:
    files, unusable = _sidecars_with(outcomes, ENDING), []
    for path, file in files.items():
        try:
            found.boxes[path] = read_boxes(file)
        except ValueError as error:
            unusable.append(f"{file}: {error}")
    found.files |= set(files.values())
    if unusable:
        logger.warning(
            "scrape: %s with unusable boxes, so there are none for these images; the first is %s",
            counted(len(unusable), "file"),
            unusable[0],
        )
    if files:
        logger.info(
            "scrape: %s: %s of %s with boxes", root, len(found.boxes), counted(num_ok, "file")
        )
