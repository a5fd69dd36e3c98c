"""What each pixel of a landscape shows, for its map: true by construction."""

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Field, Sampler
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.land import terrain
from pdm.curation.scrape.drawing.land.view import View

KINDS = ("sky", "water", "land", "forest", "snow")
SKY, WATER, LAND, FOREST, SNOW = range(len(KINDS))
_STRIP = 32  # coarse rows


def kinds_of(land: terrain.Terrain, seen: View, frame: Frame) -> NDArray[np.uint8]:
    """Return the kind of every pixel, (height_px, width_px); cells of the coarse grid are 2x2."""
    kinds = np.full((frame.num_rows, frame.num_columns), SKY, np.uint8)
    for first in range(seen.top, frame.num_rows, _STRIP):
        rows = range(first, min(first + _STRIP, frame.num_rows))
        found = _kinds_of_land(land, seen.distance_km(rows.start, rows.stop), frame.right())
        # As it is painted: water mirrors what is above the horizon, and only lies below it.
        number = np.arange(rows.start, rows.stop)[:, None]
        found[(found == WATER) & (number < frame.below_horizon)] = LAND
        covered = 2.0 * number + 1.0 - seen.skyline_px >= 0.5
        kinds[rows.start : rows.stop] = np.where(covered, found, SKY)
    full = kinds.repeat(2, axis=0).repeat(2, axis=1)
    return np.ascontiguousarray(full[: frame.height_px, : frame.width_px])


def _kinds_of_land(land: terrain.Terrain, distance: Field, right: Field) -> NDArray[np.uint8]:
    size = len(land.height)
    cells = np.float32(size / terrain.WORLD_KM)
    at = Sampler(size, distance * right * cells + np.float32(size / 2), distance * cells)
    kinds = np.full(distance.shape, LAND, np.uint8)
    kinds[at.read(land.forest) > 0.5] = FOREST
    kinds[at.read(land.snow) > 0.5] = SNOW
    kinds[at.read(land.height) < 0] = WATER
    return kinds
