"""Finds the segments of a JPEG file without decoding it.

Reads only the first image, up to its end-of-image marker. Data after it (the video of a motion
photo, further images of an MPO, an archive) and data within segments (EXIF thumbnails, maker notes)
are skipped, as libjpeg skips them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

START = b"\xff\xd8\xff"  # of every JPEG file
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
APP0, APP1, APP2, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF
_FRAMES = (
    0xC0,
    0xC1,
    0xC2,
)  # headers of baseline, extended and progressive images, in Huffman code
_WITHOUT_LENGTH = (0x01, START_OF_IMAGE)

# In entropy-coded data 0xff is followed by 0x00 or is a restart marker (0xd0 to 0xd7).
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")

# Application segments that affect pixels: marker, identifier, and least length to be well formed.
_NEEDED = ((APP0, b"JFIF\0", 14), (APP2, b"ICC_PROFILE\0", 14), (APP14, b"Adobe", 12))


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker with its payload; of a scan, the header without the entropy-coded data."""

    marker: int
    start: int  # offset of the marker in the file
    stop: int
    payload: bytes


def segments(content: bytes) -> Iterator[Segment]:
    """The segments of the first image, up to the first malformed one."""
    position = 2
    while found := _NEXT_MARKER.search(content, position):
        marker, position = content[found.start() + 1], found.end()
        if marker == END_OF_IMAGE:
            return
        if marker in _WITHOUT_LENGTH:
            continue
        length = int.from_bytes(content[position : position + 2])
        if length < 2:
            return
        stop = position + length
        yield Segment(marker, found.start(), stop, content[position + 2 : stop])
        position = stop


def num_scans(content: bytes) -> int:
    """The number of scans of the first image; each costs the decoder a pass over it."""
    return sum(segment.marker == START_OF_SCAN for segment in segments(content))


def is_complete(content: bytes) -> bool:
    """Whether the scans hold all coefficients of all components, to the last bit.

    Without the rest a decoder shows a blurred or colourless image and reports no fault. Encoders
    write everything; a file without it was cut at the start of a scan.
    """
    missing: set[tuple[int, int]] = set()  # component, and place of the coefficient from 0 to 63
    for segment in segments(content):
        if segment.marker in _FRAMES:
            components = segment.payload[6::3][: int.from_bytes(segment.payload[5:6])]
            missing = {(component, place) for component in components for place in range(64)}
        elif segment.marker == START_OF_SCAN:
            missing -= _finished_by(segment.payload)
    return not missing


def _finished_by(scan: bytes) -> set[tuple[int, int]]:
    """The components and places of which a scan, by its header, brings the last bit."""
    stop = 1 + 2 * int.from_bytes(scan[:1])
    first, last, bits = scan[stop : stop + 3].ljust(3, b"\xff")
    if bits & 15:  # lower bits follow in a later scan
        return set()
    return {(component, place) for component in scan[1:stop:2] for place in range(first, last + 1)}


def exif(content: bytes) -> bytes | None:
    """The first EXIF block with its identifier, or None."""
    for segment in segments(content):
        if segment.marker == APP1 and segment.payload.startswith(b"Exif\0\0"):
            return segment.payload
        if segment.marker == START_OF_SCAN:
            break
    return None


def without_metadata(content: bytes) -> bytes:
    """The file without comments and application segments, except those that affect pixels."""
    kept = [content[:2]]
    for segment in segments(content):
        if segment.marker == START_OF_SCAN:
            return b"".join([*kept, content[segment.start :]])
        is_metadata = APP0 <= segment.marker <= APP15 or segment.marker == COMMENT
        if not is_metadata or _is_needed(segment):
            kept.append(content[segment.start : segment.stop])
    return content  # no scan: the decoder will report it


def _is_needed(segment: Segment) -> bool:
    return any(
        segment.marker == marker
        and segment.payload.startswith(start)
        and len(segment.payload) >= num_bytes
        for marker, start, num_bytes in _NEEDED
    )
