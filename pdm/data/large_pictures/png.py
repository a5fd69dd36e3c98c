"""Writes a PNG from bands of rows (PNG specification, third edition; ISO/IEC 15948).

Pillow and OpenCV encode whole pictures only. Each row takes the filter with the least sum of
absolute differences, as section 12.7 of the specification advises.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK_BYTES = 1 << 20  # of compressed data in one chunk, at least
COMPRESSION = 6  # zlib's default
CHANNELS = 3
ROWS_AT_ONCE = 32  # filtered together

Rows = NDArray[np.uint8]  # (H, bytes)


def write_png(
    path: Path, size: tuple[int, int], bands: Iterable[Pixels], text: dict[str, str]
) -> None:
    """Write an 8-bit RGB picture.

    Args:
        path: Of the file.
        size: (H, W).
        bands: uint8 (rows, W, 3), from the top.
        text: Latin-1 texts by their keywords, before the pixels.
    """
    height, width = size
    with path.open("wb") as file:
        file.write(SIGNATURE)
        _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        for keyword, value in text.items():
            _write_chunk(file, b"tEXt", f"{keyword}\0{value}".encode("latin-1"))
        for data in _compressed(_filtered(bands, width)):
            _write_chunk(file, b"IDAT", data)
        _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def _compressed(parts: Iterable[bytes]) -> Iterator[bytes]:
    compressor, waiting = zlib.compressobj(COMPRESSION), bytearray()
    for part in parts:
        waiting += compressor.compress(part)
        if len(waiting) >= CHUNK_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting) + compressor.flush()


def _filtered(bands: Iterable[Pixels], width: int) -> Iterator[bytes]:
    """Filter the rows, each with the number of its filter before it."""
    above = np.zeros((1, width * CHANNELS), np.uint8)
    for band in bands:
        for top in range(0, len(band), ROWS_AT_ONCE):
            part = band[top : top + ROWS_AT_ONCE]
            rows = np.ascontiguousarray(part).reshape(len(part), width * CHANNELS)
            yield _filter(rows, np.concatenate([above, rows[:-1]])).tobytes()
            above = rows[-1:]


def _filter(rows: Rows, above: Rows) -> Rows:
    """Return each row with the best of the five filters (section 9.2), as (H, 1 + bytes)."""
    left, above_left = (np.pad(each, ((0, 0), (CHANNELS, 0))) for each in (rows, above))
    left, above_left = left[:, :-CHANNELS], above_left[:, :-CHANNELS]
    average = ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
    predictors = (np.zeros_like(rows), left, above, average, _paeth(left, above, above_left))
    best = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    least = np.full(len(rows), np.iinfo(np.int64).max)
    for number, predictor in enumerate(predictors):
        rest = rows - predictor
        cost = np.minimum(rest, np.negative(rest)).sum(axis=1, dtype=np.int64)
        better = cost < least
        least = np.where(better, cost, least)
        best[better, 0] = number
        best[better, 1:] = rest[better]
    return best


def _paeth(left: Rows, above: Rows, above_left: Rows) -> Rows:
    """Return the neighbour that is nearest to left + above - above left (section 9.4)."""
    a, b, c = (each.astype(np.int16) for each in (left, above, above_left))
    to_left, to_above, to_both = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearest = np.where(to_above <= to_both, above, above_left)
    use_left = (to_left <= to_above) & (to_left <= to_both)
    chosen: Rows = np.where(use_left, left, nearest)
    return chosen
