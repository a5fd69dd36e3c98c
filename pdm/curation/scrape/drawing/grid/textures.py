"""Fine textures that all landscapes share, each seen from elsewhere. Made once per process."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Field
from pdm.curation.scrape.drawing.grid.noise import fractal

_SEED = 7
_NUM_TREES = 2600
_SPREAD = 40  # levels of a byte for one standard deviation of a noise


@dataclass(frozen=True, slots=True)
class Tile:
    """A texture that repeats, read without interpolation: its cells are about as fine as pixels."""

    values: NDArray[np.uint8]  # (side, side)
    side_km: float

    def read(self, distance_km: Field, right: Field, offset: int = 0) -> NDArray[np.uint8]:
        """Values along rays.

        Args:
            distance_km: Into the picture.
            right: Tangents, which broadcast with the distances to the result's shape.
            offset: Cells by which the texture is moved in both directions.
        """
        side = len(self.values)
        last = np.int32(side - 1)
        cells = distance_km * np.float32(side / self.side_km)
        column = cells * right
        column += np.float32(2**20 + offset)  # above 0
        cells += np.float32(offset)
        row = cells.astype(np.int32)
        row &= last
        row *= np.int32(side)
        index = column.astype(np.int32)
        index &= last
        index += row
        return np.asarray(self.values.reshape(-1).take(index))


@dataclass(frozen=True, slots=True)
class Textures:
    """Crowns of trees (height over that of the tallest tree, 255 for it), and noises (see
    `deviation`)."""

    crowns: Tile
    grit: Tile  # fine unevenness of the ground
    soil: Tile
    swell: Tile
    ripple: Tile


def deviation(values: NDArray[np.uint8]) -> Field:
    """What bytes of a noise stand for, in standard deviations."""
    return values * np.float32(1 / _SPREAD) - np.float32(128 / _SPREAD)


@lru_cache(maxsize=2)
def textures(size: int) -> Textures:
    """Textures for land of `size` cells a side."""
    random = np.random.default_rng([_SEED, size])
    waves = _noise(fractal(2 * size, 16, 0.72, random, finest=2 * size))
    return Textures(
        crowns=Tile(_crowns(2 * size, random), 0.5),
        grit=Tile(_noise(fractal(2 * size, size // 16, 0.9, random, finest=2 * size)), 0.11),
        soil=Tile(_noise(fractal(2 * size, size // 32, 0.9, random)), 0.59),
        swell=Tile(waves, 0.5),
        ripple=Tile(waves, 0.091),
    )


def _noise(values: Field) -> NDArray[np.uint8]:
    levels = np.clip(values * np.float32(_SPREAD) + 128.0, 0, 255)
    return np.asarray(levels.astype(np.uint8))


def _crowns(side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Cones at random places."""
    radius = max(2, side // 110)
    steps = np.arange(-radius, radius + 1)
    distance = np.sqrt((steps[:, None] ** 2 + steps**2).astype(np.float32))
    cone = np.clip(1.0 - distance * np.float32(1 / radius), 0.0, 1.0) * 255.0
    tile = np.zeros((side + 2 * radius, side + 2 * radius), np.uint8)
    rows, columns = random.integers(0, side, (2, _NUM_TREES))
    tops = random.uniform(0.55, 1.0, _NUM_TREES)
    for row, column, top in zip(rows, columns, tops, strict=True):
        window = tile[row : row + 2 * radius + 1, column : column + 2 * radius + 1]
        np.maximum(window, (cone * np.float32(top)).astype(np.uint8), out=window)
    return _folded(tile, radius)


def _folded(tile: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    """Without its margins, which lie over the opposite sides."""
    inner = tile[margin:-margin].copy()
    inner[:margin] = np.maximum(inner[:margin], tile[-margin:])
    inner[-margin:] = np.maximum(inner[-margin:], tile[:margin])
    folded = inner[:, margin:-margin].copy()
    folded[:, :margin] = np.maximum(folded[:, :margin], inner[:, -margin:])
    folded[:, -margin:] = np.maximum(folded[:, -margin:], inner[:, :margin])
    return folded
