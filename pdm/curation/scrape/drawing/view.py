"""The land as the camera sees it: which point of it every pixel shows.

Heights are sampled along rays at growing distances; in each column a pixel shows the first distance
whose projection reaches up to it.
"""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.noise import Field, sample
from pdm.curation.scrape.drawing.scene import Scene
from pdm.curation.scrape.drawing.terrain import TREE_KM, WORLD_KM, Terrain

NEAREST_KM, FARTHEST_KM = 0.08, 14.5
NEAR_KM = 0.5  # the camera stands above all land nearer than this
TREE_TILE_KM = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """What the rows from `top` downwards show, (rows, width). Above `top` there is only sky."""

    top: int
    distance_km: Field
    x_km: Field
    height_km: Field
    covered: Field  # 1 where land or water shows, 0 in the sky, between on the skyline
    camera_km: float  # the camera's height


def project(scene: Scene, terrain: Terrain, trees: Field, width_px: int, height_px: int) -> View:
    """Cast every column's rays."""
    focal_px = np.float32(scene.focal * width_px)
    horizon_px = np.float32(scene.horizon * height_px)
    num_distances = max(96, height_px * 2 // 5)
    z: Field = np.geomspace(NEAREST_KM, FARTHEST_KM, num_distances, dtype=np.float32)[:, None]
    tangent = ((np.arange(width_px, dtype=np.float32) + 0.5) - width_px / 2) / focal_px
    x = z * tangent
    ground = sample(terrain.height, x / WORLD_KM + 0.5, z / WORLD_KM)
    stand = sample(terrain.forest, x / WORLD_KM + 0.5, z / WORLD_KM)
    wood = sample(trees, x / TREE_TILE_KM, z / TREE_TILE_KM)
    ground += stand * wood * (np.float32(TREE_KM) * np.clip(z / 0.6 - 0.3, 0, 1))
    camera_km = scene.camera_height_km + max(0.0, float(ground[z[:, 0] < NEAR_KM].max()))
    row = horizon_px + (camera_km - np.maximum(ground, 0.0)) * (focal_px / z)
    skyline = row.min(axis=0)
    top = int(np.clip(np.floor(skyline.min()), 0, height_px - 1))
    distance = _distances(row - np.float32(top), z[:, 0], height_px - top)
    below = np.arange(top, height_px, dtype=np.float32)[:, None]
    return View(
        top=top,
        distance_km=distance,
        x_km=distance * tangent,
        height_km=camera_km - (below + np.float32(0.5) - horizon_px) * distance / focal_px,
        covered=np.clip(below + 1.0 - skyline, 0, 1),
        camera_km=camera_km,
    )


def _distances(row: Field, z: Field, num_rows: int) -> Field:
    """Distance of what every pixel shows; the largest where nothing reaches it.

    Args:
        row: (distances, columns), the row to which each point of the land is projected.
        z: The distances, growing.
    """
    num_distances, num_columns = row.shape
    columns = np.arange(num_columns, dtype=np.int32)
    # A pixel's distance is the number of points whose skyline so far stays below it: count the
    # points that end in each pixel, and sum from the bottom up.
    edge = np.minimum.accumulate(row, axis=0)
    edge = np.clip(np.floor(edge + np.float32(0.5)), 0, num_rows).astype(np.int32)
    cells = (edge * np.int32(num_columns) + columns).ravel()
    count = np.bincount(cells, minlength=(num_rows + 1) * num_columns).astype(np.uint16)
    count = count.reshape(num_rows + 1, num_columns)[1:]
    index = np.cumsum(count[::-1], axis=0, dtype=np.uint16)[::-1]
    here = np.minimum(index, num_distances - 1).astype(np.int32)
    before = np.maximum(here - 1, 0)
    low = row.ravel()[before * np.int32(num_columns) + columns]
    high = row.ravel()[here * np.int32(num_columns) + columns]
    centre = np.arange(num_rows, dtype=np.float32)[:, None] + np.float32(0.5)
    fraction = np.clip((low - centre) / np.maximum(low - high, np.float32(1e-3)), 0.0, 1.0)
    near = z[before]
    return np.asarray(near + fraction * (z[here] - near))
