"""A very small copy of a picture, by which two pictures with like hashes are told apart.

Stored with every image's scores, so that the search for duplicates never looks at pixels again.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.pixels import Pixels

SIDE_PX = 16
NUM_BYTES = SIDE_PX * SIDE_PX * 3


def small_picture(pixels: Pixels) -> bytes:
    """The whole picture (H, W, 3), its shape ignored, as 16 x 16 RGB pixels of 3 bytes each.

    Each is the mean of its part of the picture (a box filter, reduced without skipping pixels), so
    that size, encoding and sharpening change it by a level or two.
    """
    size = (SIDE_PX, SIDE_PX)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BOX).tobytes()


def unpacked(small: bytes) -> NDArray[np.uint8]:
    """The (16, 16, 3) pixels of what `small_picture` gave."""
    return np.frombuffer(small, dtype=np.uint8).reshape(SIDE_PX, SIDE_PX, 3)
