"""The land as the camera sees it: which point of it every cell of the coarse grid shows.

Heights are sampled along rays at growing distances; in each column a cell shows the first distance
whose projection reaches up to it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import Field, Sampler, rounded
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.textures import Tile
from pdm.curation.scrape.drawing.land.terrain import FARTHEST_KM, TREE_KM, WORLD_KM, Terrain
from pdm.curation.scrape.drawing.scene import Scene

NEAREST_KM = 0.08
NEAR_KM = 0.5  # the camera stands above all land nearer than this
_STRIP = 32


@dataclass(frozen=True, slots=True)
class View:
    """What the coarse rows from `top` downwards show. Above `top` there is only sky."""

    top: int
    camera_km: float  # the camera's height
    skyline_px: Field  # (columns,), the uppermost point of the land in the picture, from above
    _row: Field  # (distances, columns), the coarse row to which each point is projected
    _index: NDArray[np.uint16]  # (rows, columns), the first distance that reaches a cell
    _z: Field  # (distances,), growing, km

    def distance_km(self, first: int, last: int) -> Field:
        """Distances of the coarse rows from `first` (at least `top`) up to but without `last`; the
        largest where nothing reaches a cell."""
        num_distances, num_columns = self._row.shape
        index = self._index[first - self.top : last - self.top].astype(np.int32)
        here = np.minimum(index, np.int32(num_distances - 1))
        before = np.maximum(here - np.int32(1), np.int32(0))
        columns = np.arange(num_columns, dtype=np.int32)
        rows = self._row.reshape(-1)
        low = rows.take(before * np.int32(num_columns) + columns)
        high = rows.take(here * np.int32(num_columns) + columns)
        own = np.arange(first, last, dtype=np.float32)[:, None]
        fraction = np.clip((low - own) / np.maximum(low - high, np.float32(1e-3)), 0.0, 1.0)
        near = self._z.take(before)
        return np.asarray(near + fraction * (self._z.take(here) - near))


def project(scene: Scene, terrain: Terrain, crowns: Tile, frame: Frame) -> View:
    """Cast every column's rays."""
    z = _distances(max(96, frame.height_px // 3))
    ground: Field = np.empty((len(z), frame.num_columns), np.float32)
    for first in range(0, len(z), _STRIP):
        part = slice(first, first + _STRIP)
        ground[part] = _ground(z[part, None], frame.right(), terrain, crowns)
    camera_km = scene.camera_height_km + max(0.0, float(ground[z < NEAR_KM].max()))
    focal, horizon = np.float32(0.5 * frame.focal_px), np.float32(0.5 * (frame.horizon_px - 0.5))
    for first in range(0, len(z), _STRIP):
        part = slice(first, first + _STRIP)
        below = np.float32(camera_km) - np.maximum(ground[part], 0.0)
        ground[part] = horizon + below * (focal / z[part, None])
    row = ground
    skyline = row.min(axis=0)
    top = int(np.clip(np.floor(skyline.min()), 0, frame.num_rows - 1))
    index = _first_that_reach(row, top, frame.num_rows - top)
    return View(top, camera_km, 2.0 * skyline + np.float32(0.5), row, index, z)


def _distances(count: int) -> Field:
    """Distances that grow by equal factors, km."""
    factor = rounded((FARTHEST_KM / NEAREST_KM) ** (1 / (count - 1)))
    distances = [NEAREST_KM]
    while len(distances) < count:
        distances.append(distances[-1] * factor)
    return np.array(distances, np.float32)


def _ground(z: Field, right: Field, terrain: Terrain, crowns: Tile) -> Field:
    """Height of the ground or of the trees on it along rays, km."""
    size = len(terrain.height)
    cells = np.float32(size / WORLD_KM)
    x = z * right
    at = Sampler(size, x * cells + np.float32(size / 2), z * cells)
    height = at.read(terrain.height)
    if not terrain.is_wooded:
        return height
    crown = crowns.read(z, right)
    tall = np.float32(TREE_KM / 255) * np.clip(z * np.float32(1 / 0.6) - 0.3, 0, 1)
    return np.asarray(height + at.read(terrain.forest) * (crown * tall))


def _first_that_reach(row: Field, top: int, num_rows: int) -> NDArray[np.uint16]:
    """Of each cell, the number of points whose skyline so far stays below it.

    Args:
        row: (distances, columns), see `View`.
    """
    num_columns = row.shape[1]
    columns = np.arange(num_columns, dtype=np.int32)
    cells = np.empty(row.shape, np.int32)
    lowest = np.full(num_columns, np.inf, np.float32)
    for first in range(0, len(row), _STRIP):
        skyline = row[first : first + _STRIP].copy()
        for own in skyline:
            np.minimum(lowest, own, out=own)
            lowest = own
        ends = np.clip(np.ceil(skyline) - top, 0, num_rows).astype(np.int32)
        cells[first : first + _STRIP] = ends * np.int32(num_columns) + columns
    # Count the points that end in each cell, and sum from the bottom up.
    count = np.bincount(cells.reshape(-1), minlength=(num_rows + 1) * num_columns)
    index = count.astype(np.uint16).reshape(num_rows + 1, num_columns)[1:]
    for upper in range(num_rows - 2, -1, -1):
        index[upper] += index[upper + 1]
    return index
