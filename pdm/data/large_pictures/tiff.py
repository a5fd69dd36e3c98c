"""Writes a TIFF from bands of rows, in strips that are compressed one by one."""

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from pdm.data.large_pictures.rows import cut_rows
from pdm.data.pixels import Pixels

ROWS_PER_STRIP = 64
HORIZONTAL = 2  # predictor: differences from the pixel on the left


def write_tiff(
    path: Path, size: tuple[int, int], bands: Iterable[Pixels], description: str
) -> None:
    """Write an 8-bit RGB picture with Deflate compression.

    Args:
        path: Of the file.
        size: (H, W).
        bands: uint8 (rows, W, 3), from the top.
        description: ASCII, for the tag ImageDescription.
    """
    strips = (_compress(strip) for strip in cut_rows(bands, ROWS_PER_STRIP))
    with tifffile.TiffWriter(path) as file:
        file.write(
            strips,
            shape=(*size, 3),
            dtype=np.uint8,
            photometric="rgb",
            compression="zlib",
            predictor=HORIZONTAL,
            rowsperstrip=ROWS_PER_STRIP,
            description=description,
            metadata=None,
        )


def _compress(strip: Pixels) -> bytes:
    differences = strip.copy()
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.tobytes())
