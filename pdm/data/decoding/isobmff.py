"""Reads boxes of AVIF files (ISO/IEC 14496-12 and 23008-12) that Pillow does not expose.

A damaged box ends the search and counts as missing; the decoder reports the damage.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pdm.data.decoding.cicp import CodePoints

_FULL_BOX_BYTES = 4  # version and flags, before the content of some boxes


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the file."""

    kind: bytes
    start: int  # of its content, in bytes from the start of the file
    stop: int


def is_avif(content: bytes) -> bool:
    """Whether the file has the signature of an AVIF."""
    return content[4:12] in (b"ftypavif", b"ftypavis")


def read_code_points(content: bytes) -> CodePoints | None:
    """The code points in the primary item's `colr` box of type `nclx`, or None.

    The box's range flag is about the stored Y'CbCr. The decoder applies it; its RGB is full range.
    """
    for box in _primary_properties(content):
        if box.kind == b"colr" and content[box.start : box.start + 4] == b"nclx":
            primaries, transfer = (_number(content, box.start + at, 2) for at in (4, 6))
            return CodePoints(primaries, transfer)
    return None


def media_data(content: bytes) -> list[Box]:
    """The boxes that hold coded data."""
    return [box for box in _boxes(content, 0, len(content)) if box.kind == b"mdat"]


def without_exif(content: bytes) -> bytes:
    """The file with its EXIF items renamed, so that the decoder skips them.

    libavif refuses an image whose EXIF it cannot parse. The orientation of an AVIF is in its boxes
    `irot` and `imir`, not in EXIF, so nothing is lost.
    """
    for place in _exif_item_types(content):
        content = content[:place] + b"free" + content[place + 4 :]
    return content


def _exif_item_types(content: bytes) -> list[int]:
    """Offsets of the item type `Exif` in the item table."""
    places = []
    for iinf in _children(content, b"iinf"):
        count_bytes = 2 if content[iinf.start] == 0 else 4
        for infe in _boxes(content, iinf.start + _FULL_BOX_BYTES + count_bytes, iinf.stop):
            id_bytes = 2 if content[infe.start] == 2 else 4
            place = infe.start + _FULL_BOX_BYTES + id_bytes + 2
            if infe.kind == b"infe" and content[place : place + 4] == b"Exif":
                places.append(place)
    return places


def _primary_properties(content: bytes) -> list[Box]:
    """The property boxes of the primary item."""
    pitm = next(_children(content, b"pitm"), None)
    iprp = next(_children(content, b"iprp"), None)
    if pitm is None or iprp is None:
        return []
    id_bytes = 2 if content[pitm.start] == 0 else 4
    item = _number(content, pitm.start + _FULL_BOX_BYTES, id_bytes)
    parts = list(_boxes(content, iprp.start, iprp.stop))
    properties = [
        one
        for part in parts
        if part.kind == b"ipco"
        for one in _boxes(content, part.start, part.stop)
    ]
    chosen = [
        index for part in parts if part.kind == b"ipma" for index in _indices(content, part, item)
    ]
    return [properties[index - 1] for index in chosen if 0 < index <= len(properties)]


def _indices(content: bytes, ipma: Box, item: int) -> list[int]:
    """Indices of an item's properties, counted from 1."""
    id_bytes = 2 if content[ipma.start] == 0 else 4
    index_bytes = 2 if content[ipma.start + 3] & 1 else 1
    position = ipma.start + _FULL_BOX_BYTES + 4
    while position < ipma.stop:
        found = _number(content, position, id_bytes)
        first = position + id_bytes + 1
        position = first + index_bytes * _number(content, first - 1, 1)
        if found == item:
            is_essential = 1 << (8 * index_bytes - 1)  # the highest bit is a flag
            places = range(first, min(position, ipma.stop), index_bytes)
            return [_number(content, place, index_bytes) % is_essential for place in places]
    return []


def _children(content: bytes, kind: bytes) -> Iterator[Box]:
    """The boxes of one kind in the file's `meta` box."""
    for meta in _boxes(content, 0, len(content)):
        if meta.kind == b"meta":
            for box in _boxes(content, meta.start + _FULL_BOX_BYTES, meta.stop):
                if box.kind == kind and box.start < box.stop:
                    yield box


def _boxes(content: bytes, start: int, stop: int) -> Iterator[Box]:
    while start + 8 <= stop:
        size, head = _number(content, start, 4), 8
        if size == 1:
            size, head = _number(content, start + 8, 8), 16
        elif size == 0:
            size = stop - start
        if size < head or start + size > stop:
            return
        yield Box(content[start + 4 : start + 8], start + head, start + size)
        start += size


def _number(content: bytes, start: int, num_bytes: int) -> int:
    return int.from_bytes(content[start : start + num_bytes])
