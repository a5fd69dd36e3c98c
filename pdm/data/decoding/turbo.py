"""Decodes plain JPEGs with libjpeg-turbo directly: the same pixels as Pillow, faster.

Pillow keeps four bytes for a pixel of three and copies them twice. At full size the pixels are
equal, bit for bit (tested).
"""

import io
import re

import numpy as np
import simplejpeg
from PIL import Image

from pdm.data.decoding import jpeg
from pdm.data.pixels import Pixels

# Even an empty scan costs a pass over the whole image. Cameras and encoders write about ten scans;
# libjpeg-turbo's authors advise a limit of a few hundred.
MAX_SCANS = 256

# libjpeg's warnings that part of the image is missing and would be made up.
_DAMAGE = ("premature end", "bad huffman", "instead of rst", "inconsistent progression")
# Some encoders pad a scan with a few bytes. More are left over where the decoder lost its place: a
# flipped bit or a hole of zeros left 54 and more in photographs of 57 to 260 KB.
MAX_PADDING_BYTES = 16
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes")


def can_decode(image: Image.Image, content: bytes) -> bool:
    """Whether an opened, not yet loaded image is a JPEG in grey or RGB (not CMYK).

    Raises:
        ValueError: It has more than `MAX_SCANS` scans, or some are missing.
    """
    if image.format not in ("JPEG", "MPO"):
        return False
    num_scans = jpeg.num_scans(content)
    if num_scans > MAX_SCANS:
        raise ValueError(f"a JPEG of {num_scans:,} scans; at most {MAX_SCANS} are decoded")
    if not jpeg.is_complete(content):
        raise ValueError("a JPEG of which scans are missing")
    return image.mode in ("RGB", "L")


def decode(content: bytes, size: tuple[int, int], reduction: int) -> Pixels:
    """Decode to RGB pixels (h, w, 3), each side divided by the reduction and rounded up.

    Args:
        size: Width and height of the image as stored.
        reduction: 1, 2, 4 or 8.

    Raises:
        ValueError: The file is truncated or its coded data is damaged.
    """
    width_px, height_px = (-(-side // reduction) for side in size)
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=height_px, min_width=width_px, min_factor=reduction
        )
    except ValueError as error:
        if _is_damage(str(error)):
            raise
        return _by_pillow(content, reduction)  # an odd file, but complete
    assert pixels.shape[:2] == (height_px, width_px), (pixels.shape, size, reduction)
    return pixels


def refuse_damaged_cmyk(content: bytes, size: tuple[int, int]) -> None:
    """Raise what libjpeg says of a damaged CMYK JPEG; Pillow ignores it and fills in grey.

    Args:
        size: Width and height of the image as stored.

    Raises:
        ValueError: The file is truncated or its coded data is damaged.
    """
    width_px, height_px = (-(-side // 8) for side in size)  # the smallest copy, which costs least
    try:
        simplejpeg.decode_jpeg(
            content, "CMYK", min_height=height_px, min_width=width_px, min_factor=8
        )
    except ValueError as error:
        if _is_damage(str(error)):
            raise


def _is_damage(warning: str) -> bool:
    left_over = _LEFT_OVER.search(warning)
    if left_over and int(left_over[1]) > MAX_PADDING_BYTES:
        return True
    return any(word in warning.lower() for word in _DAMAGE)


def _by_pillow(content: bytes, reduction: int) -> Pixels:
    image = Image.open(io.BytesIO(content), formats=("JPEG",))
    image.draft("RGB", (image.width // reduction, image.height // reduction))
    return np.asarray(image.convert("RGB"))
