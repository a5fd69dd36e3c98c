"""The land: heights on a grid of WORLD_KM x WORLD_KM, and the lit colour of every cell."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pdm.curation.scrape.drawing.cover import cover
from pdm.curation.scrape.drawing.lands import heights
from pdm.curation.scrape.drawing.noise import Field, fractal, rgb, smoothstep
from pdm.curation.scrape.drawing.scene import Scene

WORLD_KM = 16.0  # column 0 lies at x = -WORLD_KM / 2, row 0 at z = 0
TREE_KM = 0.016
_SHADOW_DOUBLINGS = 7  # shadows reach 2^7 cells


@dataclass(frozen=True, slots=True)
class Terrain:
    """All grids are (size, size), rows along z."""

    height: Field  # km; water stands at 0
    colour: Field  # (size, size, 3), linear light, lit and shadowed
    forest: Field  # 0 to 1, how densely trees stand


def build(scene: Scene, size: int, random: np.random.Generator) -> Terrain:
    """Raise the land of a scene, plant it and light it."""
    steps = np.arange(size, dtype=np.float32) * (WORLD_KM / size)
    x, z = np.meshgrid(steps - WORLD_KM / 2, steps)
    patches = fractal(size, 8, 0.62, random)
    height = heights(scene.land, x, z, patches, random)
    slope_x = np.asarray(cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=size / (8 * WORLD_KM)))
    slope_z = np.asarray(cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=size / (8 * WORLD_KM)))
    colour, forest = cover(scene, height, np.hypot(slope_x, slope_z), patches, random)
    colour *= _light(scene, height, slope_x, slope_z)
    return Terrain(height, colour, forest)


def _light(scene: Scene, height: Field, slope_x: Field, slope_z: Field) -> Field:
    """Light on every cell, (size, size, 3): direct with cast shadows, and from the sky."""
    tangent = math.tan(scene.light_height)
    across, along = math.sin(scene.light_azimuth), math.cos(scene.light_azimuth)
    norm = np.sqrt(1.0 + np.square(slope_x) + np.square(slope_z))
    # The light stands `along` into the picture; a slope that faces it falls in that direction.
    facing = (tangent - slope_x * across - slope_z * along) / (math.hypot(1.0, tangent) * norm)
    blocked = _lowest_rays(height, across, along, tangent)
    lit = np.maximum(facing, 0.0) * (1.0 - smoothstep(0.0, 0.05, blocked - height))
    sky = 0.45 + 0.55 / norm
    direct = rgb(scene.hour.light) * (1.0 - 0.55 * scene.cloud_cover**2)
    ambient = rgb(scene.hour.ambient) * (1.0 + 0.5 * scene.cloud_cover**2)
    return np.dstack([lit * direct[c] + sky * ambient[c] for c in range(3)])


def _lowest_rays(height: Field, across: float, along: float, tangent: float) -> Field:
    """Height of the lowest ray of light over each cell, by doubling the distance looked at."""
    cell_km = WORLD_KM / len(height)
    highest = np.roll(height, (-round(along), -round(across)), (0, 1)) - cell_km * tangent
    for doubling in range(_SHADOW_DOUBLINGS):
        cells = 2**doubling
        moved = np.roll(highest, (-round(along * cells), -round(across * cells)), (0, 1))
        highest = np.maximum(highest, moved - cells * cell_km * tangent)
    return np.asarray(highest)
