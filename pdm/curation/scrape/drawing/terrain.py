"""The land: heights on a grid of WORLD_KM x WORLD_KM, and the lit colour of every cell."""

from dataclasses import dataclass

import cv2
import numpy as np

from pdm.curation.scrape.drawing.noise import Field, fractal, ridged, smoothstep, warped
from pdm.curation.scrape.drawing.scene import Colour, Scene

WORLD_KM = 16.0  # column 0 lies at x = -WORLD_KM / 2, row 0 at z = 0
TREE_KM = 0.016
WATER_KM = 0.0  # height of the water's surface
SHADOW_DOUBLINGS = 7


@dataclass(frozen=True, slots=True)
class Terrain:
    """All grids are (size, size), rows along z."""

    height: Field  # km
    colour: Field  # (size, size, 3), linear light, lit and shadowed
    forest: Field  # 0 to 1, how densely trees stand


def build(scene: Scene, size: int, random: np.random.Generator) -> Terrain:
    """Raise the land of a scene, plant it and light it."""
    rows, columns = np.indices((size, size), dtype=np.float32)
    z = rows * np.float32(WORLD_KM / size)
    x = columns * np.float32(WORLD_KM / size) - np.float32(WORLD_KM / 2)
    patches = fractal(size, 8, 0.62, random)
    height = _heights(scene, size, x, z, patches, random)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=size / (8 * WORLD_KM))
    slope_z = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=size / (8 * WORLD_KM))
    steepness = np.hypot(slope_x, slope_z)
    ground, forest = _cover(scene, height, steepness, patches, random)
    light = _light(scene, height, slope_x, slope_z)
    return Terrain(height, ground * light, forest)


def _heights(
    scene: Scene,
    size: int,
    x: Field,
    z: Field,
    patches: Field,
    random: np.random.Generator,
) -> Field:
    """Heights in km. Every land rises away from the camera, so that the view is open."""
    crests = warped(ridged(size, int(random.choice([4, 8])), 0.47, random), patches, size / 90)
    swells = fractal(size, 16, 0.42, random)
    bend = np.float32(random.uniform(-0.5, 0.5)) * np.sin(z * np.float32(random.uniform(0.4, 1.1)))
    off_axis = np.abs(x - bend * 2.0)
    if scene.land == "alps":
        rise = smoothstep(1.5, random.uniform(6, 9), z)
        return 0.02 + 0.05 * (swells + 1) * smoothstep(0.2, 2, z) + 1.9 * rise * crests
    if scene.land == "lake":
        shore = smoothstep(random.uniform(1.5, 3.5), 8, z + 0.5 * off_axis + 0.35 * patches)
        return -0.05 + 0.02 * swells + 1.8 * shore * crests + 0.12 * shore
    if scene.land == "fjord":
        walls = smoothstep(random.uniform(0.5, 1.0), random.uniform(2.2, 3.5), off_axis)
        return -0.06 + walls * (0.15 + 1.5 * crests) + 0.6 * smoothstep(9, 13, z) * crests
    if scene.land == "hills":
        rolling = fractal(size, 8, 0.36, random)
        rise = 0.35 + smoothstep(0.5, 7, z)
        return 0.12 + 0.11 * rolling * rise + 0.012 * swells + 0.5 * smoothstep(8, 13, z) * crests
    if scene.land == "coast":
        side = np.float32(random.choice([-1, 1]))
        land = smoothstep(-0.2, 2.6, side * (x - bend) - 0.15 * z + 0.4 * patches)
        return -0.08 + land * (0.22 + 0.75 * crests + 0.03 * swells)
    if scene.land == "dunes":
        waves = warped(ridged(size, 16, 0.30, random), swells, size / 60)
        return 0.03 + 0.30 * waves * (0.3 + smoothstep(0.3, 5, z)) + 0.02 * swells
    steps = fractal(size, 8, 0.5, random) + 0.9 * smoothstep(2, 9, z) - 0.4
    cliffs = smoothstep(0.35, 0.5, steps) * 0.42 + smoothstep(0.95, 1.08, steps) * 0.40
    talus = 0.16 * smoothstep(-0.2, 0.4, steps)
    return 0.03 + cliffs + talus + 0.02 * crests + 0.008 * swells


_MEADOW: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.10, 0.22, 0.035), (0.20, 0.28, 0.06)),
    "summer": ((0.09, 0.16, 0.03), (0.26, 0.25, 0.08)),
    "autumn": ((0.22, 0.17, 0.05), (0.33, 0.20, 0.06)),
    "winter": ((0.20, 0.17, 0.11), (0.28, 0.24, 0.16)),
}
_WOOD: dict[str, tuple[Colour, Colour]] = {
    "spring": ((0.035, 0.085, 0.020), (0.08, 0.15, 0.03)),
    "summer": ((0.022, 0.060, 0.018), (0.045, 0.095, 0.02)),
    "autumn": ((0.24, 0.085, 0.015), (0.34, 0.19, 0.02)),
    "winter": ((0.030, 0.045, 0.030), (0.06, 0.06, 0.045)),
}
_ROCK: dict[str, tuple[Colour, Colour]] = {
    "dunes": ((0.50, 0.31, 0.15), (0.62, 0.42, 0.22)),
    "mesas": ((0.36, 0.13, 0.06), (0.52, 0.26, 0.13)),
}
_GREY_ROCK: tuple[Colour, Colour] = ((0.13, 0.125, 0.125), (0.26, 0.24, 0.22))
_SNOW: Colour = (0.80, 0.84, 0.92)


def _cover(
    scene: Scene,
    height: Field,
    steepness: Field,
    patches: Field,
    random: np.random.Generator,
) -> tuple[Field, Field]:
    """Colour of the ground without light, and where trees stand."""
    size = len(height)
    fine = fractal(size, size // 8, 0.8, random)
    mixed = smoothstep(-1.2, 1.2, patches + 0.5 * fine)
    colour = _blend(*_ROCK.get(scene.land, _GREY_ROCK), smoothstep(-1.5, 1.5, fine))
    if scene.land == "mesas":
        strata = np.sin(height * 95 + 0.6 * patches) + 0.5 * np.sin(height * 231)
        colour *= (1.0 + 0.22 * strata)[..., None]
    forest = np.zeros_like(height)
    if scene.land not in ("dunes", "mesas"):
        green = 1.0 - smoothstep(0.55, 0.95, steepness + 0.12 * fine)
        green *= 1.0 - smoothstep(0.75, 1.25, height + 0.1 * patches)
        colour = _over(colour, _blend(*_MEADOW[scene.season], mixed), green)
        forest = smoothstep(0.1, 0.5, np.roll(patches, size // 3, 0) + 0.35 * fine + 0.15)
        forest *= 1.0 - smoothstep(0.9, 1.3, steepness)
        forest *= 1.0 - smoothstep(0.55, 0.85, height + 0.08 * patches)
        forest *= smoothstep(0.012, 0.03, height)
        colour = _over(colour, _blend(*_WOOD[scene.season], mixed), forest)
        sand = 1.0 - smoothstep(0.004, 0.02, height + 0.004 * fine)
        colour = _over(colour, np.full((1, 1, 3), (0.36, 0.31, 0.22), np.float32), sand)
    line = {"winter": -0.1, "spring": 0.75, "summer": 1.15, "autumn": 1.0}[scene.season]
    if scene.land not in ("dunes", "mesas", "coast") or scene.season == "winter":
        cold = smoothstep(line, line + 0.22, height + 0.13 * patches + 0.05 * fine)
        cold *= 1.0 - smoothstep(0.85, 1.7, steepness + 0.1 * fine)
        cold *= 1.0 - 0.6 * forest
        if scene.land not in ("dunes", "mesas"):
            colour = _over(colour, np.full((1, 1, 3), _SNOW, np.float32), cold)
    return colour * (1.0 + 0.14 * fine)[..., None].clip(0.5, 1.6), forest


def _light(scene: Scene, height: Field, slope_x: Field, slope_z: Field) -> Field:
    """Light on every cell, (size, size, 3): direct with cast shadows, and from the sky."""
    tangent = np.tan(scene.light_height)
    across, along = np.sin(scene.light_azimuth), np.cos(scene.light_azimuth)
    norm = np.sqrt(1.0 + np.square(slope_x) + np.square(slope_z))
    # The light stands `along` into the picture; a slope that faces it falls in that direction.
    facing = (tangent - slope_x * across - slope_z * along) / np.hypot(1.0, tangent) / norm
    blocked = _horizon(height, across, along, tangent)
    lit = np.clip(facing, 0.0, None) * (1.0 - smoothstep(0.0, 0.05, blocked - height))
    sky = 0.45 + 0.55 / norm
    return (
        lit[..., None] * np.float32(scene.hour.light) * (1.0 - 0.55 * scene.cloud_cover**2)
        + sky[..., None] * np.float32(scene.hour.ambient) * (1.0 + 0.5 * scene.cloud_cover**2)
    ).astype(np.float32)


def _horizon(height: Field, across: float, along: float, tangent: float) -> Field:
    """Height of the lowest ray of light over each cell, found by doubling the distance looked at."""
    cell_km = WORLD_KM / len(height)
    highest = np.roll(height, (-round(along), -round(across)), (0, 1)) - cell_km * tangent
    for doubling in range(SHADOW_DOUBLINGS):
        cells = 2**doubling
        moved = np.roll(highest, (-round(along * cells), -round(across * cells)), (0, 1))
        highest = np.maximum(highest, moved - np.float32(cells * cell_km * tangent))
    return highest


def _blend(first: Colour, second: Colour, amount: Field) -> Field:
    start = np.float32(first)
    return start + amount[..., None] * (np.float32(second) - start)


def _over(below: Field, above: Field, amount: Field) -> Field:
    return below + amount[..., None] * (above - below)
