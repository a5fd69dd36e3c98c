"""A very small copy of a picture: by its hash like pictures are found, by its pixels confirmed.

Stored with every image's scores, so that the search for duplicates never looks at pixels again.
All sums are of whole numbers, so that every machine finds the same bits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.pixels import Pixels

SIDE_PX = 16
NUM_BYTES = SIDE_PX * SIDE_PX * 3
HASH_SIDE = 8  # frequencies each way
# A picture with less contrast than this many levels is compared as if it had so much: what is left
# of a plain one after its mean is taken off is rounding and noise.
MIN_DEVIATION = 8.0

Smalls = NDArray[np.uint8]  # (N, 16, 16, 3)

_CHUNK = 4096  # pictures at once
_LUMA = np.array((299, 587, 114), dtype=np.float64)  # Rec. 601
_WAVES = np.round(
    1024 * np.cos(np.pi / SIDE_PX * np.outer(np.arange(HASH_SIDE), np.arange(SIDE_PX) + 0.5))
)


def small_picture(pixels: Pixels) -> bytes:
    """The whole picture (H, W, 3), its shape ignored, as 16 x 16 RGB pixels of 3 bytes each.

    Each is the mean of its part of the picture (a box filter, reduced without skipping pixels), so
    that size, encoding and sharpening change it by a level or two.
    """
    size = (SIDE_PX, SIDE_PX)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BOX).tobytes()


def stacked(smalls: Sequence[bytes]) -> Smalls:
    """What `small_picture` gave for many pictures, as one array."""
    return np.frombuffer(b"".join(smalls), dtype=np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)


def hashes_of(smalls: Smalls) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Perceptual hashes of 64 bits, (N,): of the pictures, and of the same mirrored left to right.

    A bit for each of the 8 x 8 lowest frequencies of luma (a cosine transform): whether it is
    above their median. Mirroring turns the sign of every second column.
    """
    plain, mirrored = (np.empty(len(smalls), dtype=np.uint64) for _ in range(2))
    turned = np.where(np.arange(HASH_SIDE) % 2, -1.0, 1.0)
    for begin in range(0, len(smalls), _CHUNK):
        luma = smalls[begin : begin + _CHUNK] @ _LUMA
        waves = _WAVES @ luma @ _WAVES.T
        plain[begin : begin + _CHUNK] = _above_median(waves)
        mirrored[begin : begin + _CHUNK] = _above_median(waves * turned)
    return plain, mirrored


def differences(small: Smalls, others: Smalls) -> NDArray[np.float64]:
    """How much each of (N, 16, 16, 3) pictures differs from one of (16, 16, 3): 0 for equal ones.

    Root mean square over all pixels and colours, after each has been brought to mean 0 and
    deviation 1: a brighter copy differs by nothing, an unrelated picture by 1.4 on average.
    """
    offsets = _normalised(others) - _normalised(small[None])
    found: NDArray[np.float64] = np.sqrt(np.square(offsets).mean(axis=1))
    return found


def _normalised(smalls: Smalls) -> NDArray[np.float64]:
    values = smalls.reshape(len(smalls), NUM_BYTES).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.maximum(values.std(axis=1, keepdims=True), MIN_DEVIATION)
    return values


def _above_median(waves: NDArray[np.float64]) -> NDArray[np.uint64]:
    flat = waves.reshape(len(waves), -1)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return packed
