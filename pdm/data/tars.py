"""Tars whose bytes follow from their content alone, and random access to their members.

Member names are `key.extension`; keys hold no dot, so that WebDataset never merges two samples.
"""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import webdataset

from pdm.files import whole_file


@dataclass(frozen=True, slots=True)
class Member:
    """Where a file lies inside a tar: read `size` bytes at `offset`."""

    name: str
    offset: int
    size: int


def write_tar(path: Path, samples: Iterable[tuple[str, dict[str, bytes]]]) -> None:
    """Write a WebDataset tar, whole or not at all. Equal samples give equal bytes.

    Args:
        path: Replaced if it exists.
        samples: (key, {extension: content}) in the order in which they are to stand.
    """
    with whole_file(path) as temporary, webdataset.TarWriter(str(temporary), mtime=0) as writer:
        for key, parts in samples:
            assert not {".", "/"} & set(key), key
            writer.write({"__key__": key, **parts})


def members(path: Path) -> list[Member]:
    """All regular files of a tar, in order.

    Raises:
        tarfile.TarError: The tar is damaged. (A damaged header in the middle looks like the end to
            a tar reader: compare the count with the manifest.)
    """
    with tarfile.open(path, "r:") as tar:
        return [Member(info.name, info.offset_data, info.size) for info in tar if info.isreg()]


def read_at(path: Path, offset: int, size: int) -> bytes:
    """The bytes of one member."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def read_members(path: Path) -> dict[str, bytes]:
    """Every member's content by name; for tars that are known to be small."""
    content = io.BytesIO(path.read_bytes()).getbuffer()
    return {m.name: bytes(content[m.offset : m.offset + m.size]) for m in members(path)}
