"""The land as the camera sees it: which point of it every pixel shows.

Heights are sampled along rays at growing distances; in each column a pixel shows the first distance
whose projection reaches up to it. Everything below the horizon that no land reaches is water.
"""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.noise import Field, sample
from pdm.curation.scrape.drawing.scene import Scene
from pdm.curation.scrape.drawing.terrain import TREE_KM, WORLD_KM, Terrain

NEAREST_KM, FARTHEST_KM = 0.08, 14.5
NEAR_KM = 0.5  # the camera stands above all land nearer than this


@dataclass(frozen=True, slots=True)
class View:
    """Per pixel of the picture, (height, width)."""

    distance_km: Field  # infinite where the sky shows
    x_km: Field
    height_km: Field
    camera_km: float  # the camera's height
    skyline: Field  # (width,), row of the highest land in each column, with a fraction


def project(scene: Scene, terrain: Terrain, trees: Field, width_px: int, height_px: int) -> View:
    """Cast every column's rays."""
    focal_px = np.float32(scene.focal * width_px)
    horizon_px = np.float32(scene.horizon * height_px)
    num_distances = max(96, height_px // 2)
    z = np.geomspace(NEAREST_KM, FARTHEST_KM, num_distances, dtype=np.float32)[:, None]
    tangent = ((np.arange(width_px, dtype=np.float32) + 0.5) - width_px / 2) / focal_px
    x = z * tangent
    across, along = x / WORLD_KM + 0.5, np.broadcast_to(z / WORLD_KM, x.shape)
    ground = sample(terrain.height, across, along)
    stand = sample(terrain.forest, across, along)
    wood = sample(trees, x * 2.0, np.broadcast_to(z * 2.0, x.shape))
    near = np.clip(z / 0.6 - 0.3, 0, 1)
    ground = ground + stand * wood * TREE_KM * near
    camera_km = scene.camera_height_km + max(0.0, float(ground[z[:, 0] < NEAR_KM].max()))
    row = horizon_px + focal_px * (camera_km - np.maximum(ground, 0.0)) / z
    index, fraction = _first_hits(row, height_px)
    reached = index < num_distances
    index = np.minimum(index, num_distances - 1)
    before = np.maximum(index - 1, 0)
    distance = z[before, 0] + fraction * (z[index, 0] - z[before, 0])
    columns = np.arange(width_px)
    level = ground[before, columns]
    level = level + fraction * (ground[index, columns] - level)
    return View(
        distance_km=np.where(reached, distance, np.inf).astype(np.float32),
        x_km=distance * tangent,
        height_km=level,
        camera_km=camera_km,
        skyline=row.min(axis=0),
    )


def _first_hits(row: Field, height_px: int) -> tuple[np.ndarray, Field]:  # type: ignore[type-arg]
    """For every pixel the first distance that reaches it, and how far before it the ray hit.

    Args:
        row: (distances, columns), where each point of the land is projected.

    Returns:
        Index of the distance (the number of distances where none reaches), and the fraction
        between the one before and it.
    """
    num_distances, width_px = row.shape
    highest = np.minimum.accumulate(row, axis=0)
    edge = np.clip(np.floor(highest + 0.5), 0, height_px).astype(np.int64)
    flat = (edge * width_px + np.arange(width_px)).ravel()
    count = np.bincount(flat, minlength=(height_px + 1) * width_px)
    count = count.reshape(height_px + 1, width_px)[1:]
    index = np.cumsum(count[::-1], axis=0)[::-1]
    columns = np.arange(width_px)
    here = np.minimum(index, num_distances - 1)
    low, high = row[np.maximum(here - 1, 0), columns], row[here, columns]
    centre = np.arange(height_px, dtype=np.float32)[:, None] + np.float32(0.5)
    fraction = (low - centre) / np.maximum(low - high, np.float32(1e-3))
    return index, np.clip(fraction, 0.0, 1.0).astype(np.float32)
