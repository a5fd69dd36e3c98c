"""Folder sources: every file below a folder. Files stay in place until the shards are written."""

import os
from collections.abc import Iterator
from pathlib import Path

from pdm.config.scrape import FolderSource
from pdm.curation.scrape.entries import Content, Entry, Outcome, dropped
from pdm.curation.scrape.formats import EXTENSIONS, NUM_BYTES, extension_of
from pdm.curation.scrape.text import one_line
from pdm.errors import BadInput


def entries_of_folder(source: FolderSource) -> list[Entry]:
    """One entry per file, by path. What does not look like a picture, by its first bytes or its
    name, is dropped as `not_image`; so are links that lead out of the folder, as `outside_folder`.

    Raises:
        BadInput: The folder does not exist or holds no file.
    """
    root = Path(source.path)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; mend scrape.sources in params.yaml")
    name = f"folder:{root.resolve().name}"
    found = [_entry(path, root, name, source.licence) for path in _files(root)]
    if not found:
        raise BadInput(f"{root} holds no files; put pictures there, or take it out of the sources")
    return sorted(found, key=lambda entry: entry.url)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, followlinks=False):
        folders.sort()
        linked = [name for name in folders if Path(folder, name).is_symlink()]
        yield from (Path(folder, name) for name in sorted([*files, *linked]))


def _entry(path: Path, root: Path, name: str, licence: str | None) -> Entry:
    relative = path.relative_to(root).as_posix().encode("utf-8", "replace").decode("utf-8")
    return Entry(
        identity=f"{name}/{relative}",
        url=f"{root.resolve().name}/{relative}",
        source=name,
        licence=licence,
        class_name=one_line(relative.split("/")[0]) if "/" in relative else None,
        outcome=_outcome(path, root),
    )


def _outcome(path: Path, root: Path) -> Outcome:
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        return dropped("outside_folder", "a link that leads out of the folder")
    if not path.is_file():
        return dropped("not_image", "not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(NUM_BYTES)
    except OSError as error:
        return Outcome(status="failed", reason="unreadable_file", error_message=error.strerror)
    if extension_of(head) == "bin" and path.suffix[1:].lower() not in EXTENSIONS:
        return dropped("not_image", "neither its name nor its first bytes are those of a picture")
    return Outcome(status="ok", content=Content(path, 0, path.stat().st_size))
