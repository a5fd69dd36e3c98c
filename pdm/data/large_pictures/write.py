"""Writes a large picture with its provenance, from bands of rows."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pdm.data import provenance
from pdm.data.large_pictures.png import write_png
from pdm.data.large_pictures.tiff import write_tiff
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.files import atomic_file

TIFF = (".tif", ".tiff")
ENDINGS = (".png", *TIFF)


def check_ending(path: Path) -> None:
    """Raise BadInput unless the name of a file says a format that can be written by rows."""
    if path.suffix.lower() not in ENDINGS:
        raise BadInput(
            f"--output {path} must end in .png, .tif or .tiff: other formats would change pixels"
        )


def write_picture(
    path: Path, size: tuple[int, int], bands: Iterable[Pixels], facts: Mapping[str, Any]
) -> str:
    """Write a PNG or TIFF with its provenance, atomically, with the memory of a few bands.

    Args:
        path: Ends in one of `ENDINGS`.
        size: (H, W).
        bands: uint8 (rows, W, 3), from the top; all rows of the picture.
        facts: For its provenance (`pdm.data.provenance`).

    Returns:
        The sha256 of the pixels, as `pdm.data.provenance.pixels_sha256` gives.
    """
    digest = hashlib.sha256(provenance.shape_text((*size, 3)).encode())
    checked = _check_bands(bands, size, digest)
    text = provenance.as_text(facts)
    with atomic_file(path) as temporary:
        if path.suffix.lower() in TIFF:
            write_tiff(temporary, size, checked, text)
        else:
            write_png(temporary, size, checked, {provenance.KEYWORD: text})
    return digest.hexdigest()


def _check_bands(
    bands: Iterable[Pixels], size: tuple[int, int], digest: "hashlib._Hash"
) -> Iterator[Pixels]:
    """Pass the bands on, into the digest, too."""
    rows = 0
    for band in bands:
        assert band.shape[1:] == (size[1], 3), f"a band is {band.shape}, the image {size}"
        rows += len(band)
        digest.update(np.ascontiguousarray(band).data)
        yield band
    assert rows == size[0], f"bands have {rows} rows, the image has {size[0]}"
