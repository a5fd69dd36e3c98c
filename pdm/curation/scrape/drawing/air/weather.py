"""Rain and falling snow before the lens, at full size."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Field

# Share of pixels with a flake, and the flake's standard deviation in pixels of a picture 2560 wide;
# the nearest are out of focus.
_FLAKES = ((0.004, 0.9), (0.0008, 1.8), (0.00008, 4.5))


def rain(strength: float, width_px: int, height_px: int, random: np.random.Generator) -> Field:
    """Linear light that streaks add, all slanted alike, (height_px, width_px)."""
    length = max(7, height_px // 30) | 1
    slant = int(random.integers(-length // 3, length // 3 + 1))
    num_drops = int(width_px * height_px * 0.001)
    row, column = _places(num_drops, width_px, height_px, random)
    light: Field = np.zeros(width_px * height_px, np.float32)
    for step in range(length):
        at = (column + step * slant // length) % width_px
        light[(row + step) % height_px * width_px + at] = 0.05 * strength
    return light.reshape(height_px, width_px)


def snowfall(strength: float, width_px: int, height_px: int, random: np.random.Generator) -> Field:
    """How much flakes cover of each pixel, (height_px, width_px), 0 to 0.85."""
    cover: Field = np.zeros(width_px * height_px, np.float32)
    for share, deviation in _FLAKES:
        count = int(width_px * height_px * share * strength)
        row, column = _places(count, width_px, height_px, random)
        for down, right, amount in _flake(max(deviation * width_px / 2560, 0.4)):
            at = (row + down) % height_px * width_px + (column + right) % width_px
            cover[at] = np.maximum(cover[at], amount)
    return cover.reshape(height_px, width_px)


def _places(
    count: int, width_px: int, height_px: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return random.integers(0, height_px, count), random.integers(0, width_px, count)


def _flake(deviation: float) -> Iterator[tuple[int, int, np.float32]]:
    """Offsets and amounts of a round, soft spot."""
    reach = max(1, round(2.2 * deviation))
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            far = (down * down + right * right) / (2.0 * deviation * deviation)
            if far < 3.0:
                # (1 - x / 3)^2 falls to 0 at the edge, much as exp(-x) does.
                yield down, right, np.float32(0.8 * (1.0 - far / 3.0) ** 2)
