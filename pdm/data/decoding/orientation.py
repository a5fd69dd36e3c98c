"""How a picture is to be turned, by its EXIF, and the turning."""

import warnings

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

UPRIGHT = 1
TRANSPOSED = (5, 6, 7, 8)  # orientations that exchange width and height
# How to flip what may have been transposed: 1 left to right, 0 top to bottom, -1 both.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}


def read_orientation(image: Image.Image) -> int:
    """1 to 8, as EXIF has it. 1 (upright) if EXIF is absent, damaged, or says anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Of a PNG, `image.getexif()` would decode all pixels first.
            value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, UPRIGHT)
            orientation = int(value)
    except Exception:  # noqa: BLE001 - damaged EXIF is common, and no reason to lose the picture
        return UPRIGHT
    return orientation if 1 <= orientation <= 8 else UPRIGHT


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the turn that EXIF states. OpenCV does it four times as fast as Pillow or numpy."""
    if orientation in TRANSPOSED:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    axis = _FLIPS.get(orientation)
    return pixels if axis is None else np.asarray(cv2.flip(pixels, axis), dtype=np.uint8)
