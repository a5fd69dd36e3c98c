"""Draws one landscape from a seed. The same seed, index and size give the same pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing import finish, sky, terrain, view, water
from pdm.curation.scrape.drawing.noise import Field, fractal, sample, smoothstep
from pdm.curation.scrape.drawing.scene import Scene, choose


def draw(seed: int, index: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Landscape `index` of a seed, whatever others are drawn.

    Returns:
        (height_px, width_px, 3), RGB.
    """
    scene = choose(seed, index)
    random = np.random.default_rng([seed, index, 1])
    size = 1024 if width_px > 1024 else 512 if width_px > 512 else 256
    land = terrain.build(scene, size, random)
    trees = _trees(size, random)
    seen = view.project(scene, land, trees, width_px, height_px)
    direction = sky.rays(scene, width_px, height_px)
    picture = sky.draw(scene, direction, random, size)
    top = max(0, int(np.floor(seen.skyline.min())))
    _paint_land(picture[top:], top, scene, land, trees, seen, random)
    water.flood(picture, _water_mask(seen), scene, seen.camera_km, direction, random, size)
    _veil(picture[top:], top, scene, seen, direction)
    return finish.photograph(picture, scene, random)


def _trees(size: int, random: np.random.Generator) -> Field:
    """Crowns of trees: heights from 0 to 1, a seamless tile of half a kilometre."""
    seeds = np.zeros((size, size), np.float32)
    num_trees = 2600
    row, column = random.integers(0, size, (2, num_trees))
    seeds[row, column] = random.uniform(0.55, 1.0, num_trees).astype(np.float32)
    radius = max(2, size // 110)
    crowns = np.zeros_like(seeds)
    for step in range(radius):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * step + 1, 2 * step + 1))
        spread = cv2.dilate(np.pad(seeds, radius, mode="wrap"), kernel)
        inner = spread[radius:-radius, radius:-radius]
        crowns = np.maximum(crowns, inner * np.float32(1.0 - step / radius))
    return crowns


def _paint_land(
    part: Field,
    top: int,
    scene: Scene,
    land: terrain.Terrain,
    trees: Field,
    seen: view.View,
    random: np.random.Generator,
) -> None:
    """Put the lit ground, with its fine texture, over the sky; `part` starts at row `top`."""
    distance = np.minimum(seen.distance_km[top:], np.float32(view.FARTHEST_KM))
    x = seen.x_km[top:]
    across, along = x / terrain.WORLD_KM + 0.5, distance / terrain.WORLD_KM
    colour = sample(land.colour, across, along)
    texture = fractal(len(trees), len(trees) // 32, 0.9, random)
    near = sample(texture, x * 9.0, distance * 9.0)
    middle = sample(texture, x * 1.7 + 0.37, distance * 1.7)
    weight = np.exp(-distance / 0.9)
    detail = 0.30 * weight * near + 0.16 * middle
    crown = sample(trees, x * 2.0, distance * 2.0)
    wood = sample(land.forest, across, along) * smoothstep(0.2, 0.6, distance)
    detail += wood * (1.1 * crown - 0.62)
    colour *= np.clip(1.0 + detail, 0.25, 2.2)[..., None]
    rows = np.arange(top, top + len(part), dtype=np.float32)[:, None]
    covered = np.clip(rows + 1.0 - seen.skyline, 0, 1)
    part += covered[..., None] * (colour - part)


def _water_mask(seen: view.View) -> Field:
    """1 where the ground lies below the water."""
    wet = np.where(np.isfinite(seen.distance_km), -seen.height_km, np.float32(-1))
    return smoothstep(-0.0006, 0.0006, wet)


def _veil(part: Field, top: int, scene: Scene, seen: view.View, direction: sky.Rays) -> None:
    """Air between the camera and the land: blue haze, and mist that lies in the valleys."""
    rays = sky.Rays(direction.right, direction.up[top:])
    cosine = sky.glow(scene, rays)
    distance = seen.distance_km[top:]
    is_land = np.isfinite(distance)
    distance = np.where(is_land, distance, np.float32(0))
    low = np.exp(-np.maximum(seen.height_km[top:], 0) / 0.12)
    thickness = distance * (
        np.float32(1 / scene.visibility_km) + np.float32(0.22 * scene.mist) * low
    )
    # Blue scatters first, so red comes through best.
    clear = np.exp(-thickness[..., None] * np.float32((0.85, 1.0, 1.25)))
    haze = sky.haze_colour(scene, cosine)
    rows = np.arange(top, top + len(part), dtype=np.float32)[:, None]
    covered = np.clip(rows + 1.0 - seen.skyline, 0, 1)[..., None]
    part += covered * (1.0 - clear) * (haze - part)
