"""Folder sources: every file below a folder. Files stay in place until the shards are written.

`NAME.txt` beside a picture has its captions, one a line.
"""

import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pdm.config.scrape import FolderSource
from pdm.curation.scrape.entries import Content, Entry, Outcome, dropped, failed
from pdm.curation.scrape.formats import EXTENSIONS, NUM_BYTES, extension_of
from pdm.curation.scrape.maps import map_of
from pdm.curation.scrape.sources.hidden import is_hidden
from pdm.curation.scrape.text import MAX_TEXT_BYTES, clean_captions, one_line, open_text
from pdm.errors import BadInput

logger = logging.getLogger(__name__)
MAX_CHARACTERS = 64 * MAX_TEXT_BYTES  # read of a file of captions


def entries_of_folder(source: FolderSource) -> list[Entry]:
    """One entry for each file, sorted by path, and one for each folder that is skipped.

    A file of captions has no entry of its own: the pictures of its name have its lines.

    Files that are no pictures by their first bytes and by their name are dropped as `not_image`,
    links out of the folder as `outside_folder`, hidden files and folders as `hidden`. A folder that
    cannot be listed fails as `unreadable_file`.

    Raises:
        BadInput: The folder does not exist or is empty.
    """
    root = Path(source.path)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; fix scrape.sources in params.yaml")
    if source.maps is not None and Path(source.maps).resolve().is_relative_to(root.resolve()):
        raise BadInput(
            f"scrape.sources: the maps in {source.maps} would count as pictures of {root}; put "
            "them into a folder beside it"
        )
    name = f"folder:{root.resolve().name}"
    outcomes = dict(_walk(root))
    captions = _captions_of_pictures(outcomes)
    texts = {path.with_suffix(".txt") for path in captions}
    entries = [
        dataclasses.replace(
            _entry(path, root, name, source.licence, outcome),
            captions=captions.get(path, ()),
            class_map=map_of(path, root, source.maps),
        )
        for path, outcome in outcomes.items()
        if path not in texts
    ]
    if captions:
        num_with = sum(map(bool, captions.values()))
        num_pictures = sum(entry.outcome.status == "ok" for entry in entries if entry.outcome)
        logger.info("scrape: %s: %s of %s files have a caption", root, num_with, num_pictures)
    if not entries:
        raise BadInput(f"{root} has no files; put pictures there, or remove it from scrape.sources")
    return sorted(entries, key=lambda entry: entry.url)


def _walk(root: Path) -> Iterator[tuple[Path, Outcome]]:
    """Every file, every link to a folder, and every folder that is skipped, with its outcome."""
    unreadable: list[OSError] = []
    for folder, folders, files in os.walk(root, onerror=unreadable.append):
        linked = [name for name in folders if Path(folder, name).is_symlink()]
        hidden = [name for name in folders if is_hidden(name) and name not in linked]
        folders[:] = [name for name in folders if name not in hidden]
        for path in (Path(folder, name) for name in [*files, *linked]):
            yield path, _outcome(path, root)
        for path in (Path(folder, name) for name in hidden):
            num_files = sum(len(names) for _, _, names in os.walk(path))
            yield path, dropped("hidden", f"a hidden folder with {num_files:,} files")
    for error in unreadable:
        yield Path(error.filename), failed("unreadable_file", str(error.strerror))


def _captions_of_pictures(outcomes: Mapping[Path, Outcome]) -> dict[Path, tuple[str, ...]]:
    """The captions of each picture that has a text file of its name beside it."""
    found, changed = {}, []
    for path, outcome in outcomes.items():
        text = path.with_suffix(".txt")
        usable = text != path and text in outcomes and outcomes[text].reason == "not_image"
        if outcome.status == "ok" and usable and text.is_file():
            found[path], is_same = _read_captions(text)
            changed += [] if is_same else [text]
    if changed:
        logger.warning(
            "scrape: %s files of captions are no text in UTF-8, or have captions that are too "
            "long, too many or repeated; the first is %s",
            f"{len(changed):,}",
            changed[0],
        )
    return found


def _read_captions(path: Path) -> tuple[tuple[str, ...], bool]:
    """The lines of a text file that are not blank, and whether all of them could be used."""
    try:
        with open_text(path) as file:
            text = file.read(MAX_CHARACTERS)
    except (OSError, BadInput):
        return (), False
    lines = tuple(line for part in text.splitlines() if (line := part.strip()))
    captions = clean_captions(lines)
    return captions, captions == lines and len(text) < MAX_CHARACTERS and "\ufffd" not in text


def _entry(path: Path, root: Path, name: str, licence: str | None, outcome: Outcome) -> Entry:
    relative = path.relative_to(root).as_posix().encode("utf-8", "replace").decode("utf-8")
    class_name = one_line(relative.split("/")[0]) if "/" in relative else None
    if path.is_dir() and not path.is_symlink():
        relative += "/"
    return Entry(
        identity=f"{name}/{relative}",
        url=f"{root.resolve().name}/{relative}",
        source=name,
        licence=licence,
        class_name=class_name,
        outcome=outcome,
    )


def _outcome(path: Path, root: Path) -> Outcome:
    if is_hidden(path.name):
        return dropped("hidden", "a hidden file of the system or of a program")
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return dropped("outside_folder", "a link out of the folder")
    if not path.is_file():
        return dropped("not_image", "not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(NUM_BYTES)
    except OSError as error:
        return failed("unreadable_file", str(error.strerror))
    if extension_of(head) == "bin" and path.suffix[1:].lower() not in EXTENSIONS:
        return dropped("not_image", "no picture by its name and by its first bytes")
    return Outcome(status="ok", content=Content(path, 0, path.stat().st_size))
