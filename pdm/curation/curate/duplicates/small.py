"""Very small copies of pictures. Their hashes find candidates for duplicates, their pixels decide.

They are stored with the scores, so that the search for duplicates decodes nothing. All sums are of
whole numbers, so that every machine computes the same bits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.pixels import Pixels

SIDE_PX = 16
NUM_BYTES = SIDE_PX * SIDE_PX * 3
HASH_SIDE = 8  # frequencies each way
# Least standard deviation by which a picture is divided: of a plain picture, only rounding and
# noise are left after its mean is subtracted.
MIN_DEVIATION = 8.0

Smalls = NDArray[np.uint8]  # (N, 16, 16, 3)

_CHUNK = 4096  # pictures at once
_LUMA = np.array((299, 587, 114), dtype=np.float64)  # Rec. 601
_WAVES = np.round(
    1024 * np.cos(np.pi / SIDE_PX * np.outer(np.arange(HASH_SIDE), np.arange(SIDE_PX) + 0.5))
)


def small_picture(pixels: Pixels) -> bytes:
    """Reduce the whole picture (H, W, 3) to 16 x 16 RGB pixels of 3 bytes, whatever its shape.

    Each pixel is the mean of its part of the picture (a box filter), so that size, encoding and
    sharpening change it by a level or two only.
    """
    size = (SIDE_PX, SIDE_PX)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BOX).tobytes()


def stack(smalls: Sequence[bytes]) -> Smalls:
    """Stack results of `small_picture` into one array."""
    return np.frombuffer(b"".join(smalls), dtype=np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3)


def hashes_of(smalls: Smalls) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Perceptual hashes of 64 bits, (N,): of the pictures, and of their mirror images.

    Each of the 8 x 8 lowest frequencies of luma (a cosine transform) gives one bit: whether it is
    above their median. Mirroring changes the sign of every second column.
    """
    plain, mirrored = (np.empty(len(smalls), dtype=np.uint64) for _ in range(2))
    signs = np.where(np.arange(HASH_SIDE) % 2, -1.0, 1.0)
    for begin in range(0, len(smalls), _CHUNK):
        luma = smalls[begin : begin + _CHUNK] @ _LUMA
        waves = _WAVES @ luma @ _WAVES.T
        plain[begin : begin + _CHUNK] = _above_median(waves)
        mirrored[begin : begin + _CHUNK] = _above_median(waves * signs)
    return plain, mirrored


def differences(small: Smalls, others: Smalls) -> NDArray[np.float64]:
    """How much each of (N, 16, 16, 3) pictures differs from one of (16, 16, 3): 0 for equal ones.

    Root mean square difference over all pixels and colours, after each picture was normalised to
    mean 0 and deviation 1: 0 for a brighter copy, 1.4 on average for an unrelated picture.
    """
    offsets = _normalise(others) - _normalise(small[None])
    distances: NDArray[np.float64] = np.sqrt(np.square(offsets).mean(axis=1))
    return distances


def _normalise(smalls: Smalls) -> NDArray[np.float64]:
    values = smalls.reshape(len(smalls), NUM_BYTES).astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.maximum(values.std(axis=1, keepdims=True), MIN_DEVIATION)
    return values


def _above_median(waves: NDArray[np.float64]) -> NDArray[np.uint64]:
    flat = waves.reshape(len(waves), -1)
    bits = flat > np.median(flat, axis=1, keepdims=True)
    packed: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return packed
