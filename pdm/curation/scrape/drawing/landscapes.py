"""Draws one landscape from a seed. The same seed, index and size give the same pixels."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing import finish, sky, terrain, view, water
from pdm.curation.scrape.drawing.noise import (
    Field,
    enlarged,
    fractal,
    mix,
    sample,
    smoothstep,
    times,
)
from pdm.curation.scrape.drawing.scene import Scene, choose

_TILES_SEED = 7  # the fine tiles are the same in all landscapes, seen from elsewhere


def draw(seed: int, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Landscape `index` of a seed, whatever others are drawn.

    Returns:
        (height_px, width_px, 3), RGB.
    """
    scene = choose(seed, index)
    random = np.random.default_rng([seed, index, 1])
    size = 1024 if width_px > 1024 else 512 if width_px > 512 else 256
    land = terrain.build(scene, size, random)
    trees, texture, waves = _tiles(size)
    seen = view.project(scene, land, trees, width_px, height_px)
    picture: Field = np.zeros((height_px, width_px, 3), np.float32)
    # The sky is needed down to the lowest skyline, and down to the horizon for reflections.
    lowest = seen.top + int(np.count_nonzero(seen.covered.min(axis=1) < 1))
    num_rows = min(height_px, max(lowest, int(scene.horizon * height_px)) + 1)
    above = sky.rays(scene, width_px, height_px, 0, num_rows)
    picture[:num_rows] = sky.draw(scene, above, random, size)
    below = sky.rays(scene, width_px, height_px, seen.top, height_px)
    colour, wet = _ground(scene, land, trees, texture, seen)
    part = picture[seen.top :]
    part[:] = mix(part, colour, seen.covered)
    calm = float(random.uniform(0.25, 1.0)) + 0.8 * scene.rain
    water.flood(picture, wet * seen.covered, scene, seen.camera_km, below, waves, calm)
    part[:] = mix(part, sky.haze(scene, below), _thickness(scene, seen) * seen.covered)
    return finish.photograph(picture, scene, random)


@lru_cache(maxsize=2)
def _tiles(size: int) -> tuple[Field, Field, Field]:
    """Crowns of trees (heights from 0 to 1), texture of the ground, waves."""
    random = np.random.default_rng([_TILES_SEED, size])
    crowns: Field = np.zeros((size, size), np.float32)
    num_trees = 2600
    row, column = random.integers(0, size, (2, num_trees))
    crowns[row, column] = random.uniform(0.55, 1.0, num_trees)
    radius = max(2, size // 110)
    seeds = np.pad(crowns, radius, mode="wrap")
    for step in range(1, radius):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * step + 1, 2 * step + 1))
        spread = np.asarray(cv2.dilate(seeds, kernel))[radius:-radius, radius:-radius]
        crowns = np.maximum(crowns, spread * np.float32(1.0 - step / radius))
    return crowns, fractal(size, size // 32, 0.9, random), fractal(size, 16, 0.72, random)


def _ground(
    scene: Scene, land: terrain.Terrain, trees: Field, texture: Field, seen: view.View
) -> tuple[Field, Field]:
    """Lit ground with its fine texture, and where it lies under water, for the view's rows."""
    distance, x = seen.distance_km, seen.x_km
    across = x * np.float32(1 / terrain.WORLD_KM) + np.float32(0.5)
    along = distance * np.float32(1 / terrain.WORLD_KM)
    colour = sample(land.colour, across, along)
    near = sample(texture, x * 9.0, distance * 9.0)
    middle = sample(texture, x * 1.7, distance * 1.7)
    detail = 1.0 + near * (0.30 * np.exp(distance * np.float32(-1 / 0.9))) + 0.16 * middle
    # What changes slowly over the picture is looked up on every other row and column.
    half = (slice(None, None, 2), slice(None, None, 2))
    height = sample(land.height, across[half], along[half])
    wood = sample(land.forest, across[half], along[half]) * smoothstep(0.2, 0.6, distance[half])
    wet = enlarged(smoothstep(-0.0006, 0.0006, -height), x.shape[1], len(x))
    if wood.max() > 0:
        tile_km = np.float32(1 / view.TREE_TILE_KM)
        crown = sample(trees, x * tile_km, distance * tile_km)
        detail += enlarged(wood, x.shape[1], len(x)) * (1.1 * crown - 0.62)
    return times(colour, np.clip(detail, 0.25, 2.2).astype(np.float32, copy=False)), wet


def _thickness(scene: Scene, seen: view.View) -> Field:
    """How much of the view the air hides: haze with distance, and mist that lies in the valleys."""
    low = np.exp(np.maximum(seen.height_km, 0) * np.float32(-1 / 0.12))
    density = np.float32(1 / scene.visibility_km) + np.float32(0.22 * scene.mist) * low
    hidden = 1.0 - np.exp(-seen.distance_km * density)
    return np.asarray(hidden.astype(np.float32, copy=False))
