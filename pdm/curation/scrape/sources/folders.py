"""Folder sources: every file below a folder. Files stay in place until the shards are written.

`NAME.txt` beside a picture has its captions, `NAME.boxes.json` its boxes. A COCO annotation file
may have the boxes of all pictures instead (`pdm.curation.scrape.sources.coco`).
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from pdm.config.stages.scrape import FolderSource
from pdm.curation.scrape.boxes import ENDING
from pdm.curation.scrape.entries import Content, Entry, Outcome, dropped, failed
from pdm.curation.scrape.formats import EXTENSIONS, NUM_BYTES, extension_of
from pdm.curation.scrape.maps import map_of
from pdm.curation.scrape.sources.coco import AnnotatedBoxes, read_annotations
from pdm.curation.scrape.sources.hidden import is_hidden
from pdm.curation.scrape.sources.sidecars import Sidecars, read_sidecars
from pdm.curation.scrape.text import one_line
from pdm.errors import BadInput


def entries_of_folder(
    source: FolderSource, boxes_left_out: Counter[str] | None = None
) -> list[Entry]:
    """One entry for each file, sorted by path, and one for each folder that is skipped.

    A file of captions or of boxes has no entry of its own: the pictures of its name have them. Nor
    has the COCO annotation file, if it is in the folder.

    Files that are not pictures by their first bytes and by their name are dropped as `not_image`,
    links out of the folder as `outside_folder`, hidden files and folders as `hidden`. A folder that
    cannot be listed fails as `unreadable_file`.

    Args:
        source: The folder.
        boxes_left_out: The number of boxes of the COCO annotation file that no picture gets is
            added to it, by reason.

    Raises:
        BadInput: The folder does not exist or is empty, or the COCO annotation file cannot be used.
    """
    root = Path(source.path)
    if not root.is_dir():
        state = " is not a folder" if root.exists() else ": no such folder"
        raise BadInput(f"{root}{state}; fix scrape.sources in params.yaml")
    if source.maps is not None and Path(source.maps).resolve().is_relative_to(root.resolve()):
        raise BadInput(
            f"scrape.sources: the maps in {source.maps} would count as images of {root}; put "
            "them into a folder beside it"
        )
    name = f"folder:{root.resolve().name}"
    outcomes = dict(_walk(root))
    sidecars = read_sidecars(root, outcomes)
    annotated = _read_annotated(source.boxes, root, outcomes, sidecars)
    if boxes_left_out is not None:
        boxes_left_out.update(annotated.left_out)
    entries = [
        dataclasses.replace(
            _entry(path, root, name, source.licence, outcome),
            captions=sidecars.captions.get(path, ()),
            boxes=sidecars.boxes.get(path) or annotated.boxes.get(path),
            class_map=map_of(path, root, source.maps),
        )
        for path, outcome in outcomes.items()
        if path not in sidecars.files
    ]
    if not entries:
        raise BadInput(f"{root} has no files; put images there, or remove it from scrape.sources")
    return sorted(entries, key=lambda entry: entry.url)


def _read_annotated(
    boxes: str | None, root: Path, outcomes: Mapping[Path, Outcome], sidecars: Sidecars
) -> AnnotatedBoxes:
    """Read the boxes of the COCO annotation file, if the source names one."""
    if boxes is None:
        return AnnotatedBoxes()
    path = Path(boxes)
    if path.resolve().is_relative_to(root.resolve()):
        sidecars.files.add(root / path.resolve().relative_to(root.resolve()))
    own = frozenset(one for one in outcomes if one.with_suffix(ENDING) in sidecars.files)
    return read_annotations(path, root, outcomes, own)


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
        return dropped("not_image", "not an image, by its name and its first bytes")
    return Outcome(status="ok", content=Content(path, 0, path.stat().st_size))
