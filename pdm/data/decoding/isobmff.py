"""The boxes of an AVIF file (ISO/IEC 14496-12 and 23008-12) that Pillow does not pass on.

A damaged box ends the search and counts as absent: the decoder will say what is wrong with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_FULL_BOX_BYTES = 4  # version and flags, before the content of some boxes


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int  # of its content, in bytes from the start of the file
    stop: int


def is_avif(content: bytes) -> bool:
    """Whether the file begins as an AVIF does."""
    return content[4:12] in (b"ftypavif", b"ftypavis")


def without_exif(content: bytes) -> bytes:
    """The file with its EXIF items renamed, so that the decoder passes over them.

    It would refuse a picture for an EXIF block that it does not understand. Nothing is lost: how an
    AVIF is turned stands in its boxes `irot` and `imir` (ISO/IEC 23008-12, A.2.3), not there.
    """
    for place in _exif_item_types(content):
        content = content[:place] + b"free" + content[place + 4 :]
    return content


def _exif_item_types(content: bytes) -> list[int]:
    """Where the item type `Exif` stands in an item's entry."""
    places = []
    for iinf in _children(content, b"iinf"):
        count_bytes = 2 if content[iinf.start] == 0 else 4
        for infe in _boxes(content, iinf.start + _FULL_BOX_BYTES + count_bytes, iinf.stop):
            id_bytes = 2 if content[infe.start] == 2 else 4
            place = infe.start + _FULL_BOX_BYTES + id_bytes + 2
            if infe.kind == b"infe" and content[place : place + 4] == b"Exif":
                places.append(place)
    return places


def _children(content: bytes, kind: bytes) -> Iterator[_Box]:
    """The boxes of a kind within the box `meta` of the file."""
    for meta in _boxes(content, 0, len(content)):
        if meta.kind == b"meta":
            for box in _boxes(content, meta.start + _FULL_BOX_BYTES, meta.stop):
                if box.kind == kind and box.start < box.stop:
                    yield box


def _boxes(content: bytes, start: int, stop: int) -> Iterator[_Box]:
    while start + 8 <= stop:
        size, head = _number(content, start, 4), 8
        if size == 1:
            size, head = _number(content, start + 8, 8), 16
        elif size == 0:
            size = stop - start
        if size < head or start + size > stop:
            return
        yield _Box(content[start + 4 : start + 8], start + head, start + size)
        start += size


def _number(content: bytes, start: int, num_bytes: int) -> int:
    return int.from_bytes(content[start : start + num_bytes])
