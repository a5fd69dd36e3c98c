"""The land: heights on a grid of WORLD_KM x WORLD_KM, and the lit colour of every cell."""

from dataclasses import dataclass

import cv2
import numpy as np

from pdm.curation.scrape.drawing.grid.fields import Field, Planes, doubled, rounded, smoothstep
from pdm.curation.scrape.drawing.grid.noise import fractal
from pdm.curation.scrape.drawing.land.cover import Ground, cover
from pdm.curation.scrape.drawing.land.lands import heights
from pdm.curation.scrape.drawing.scene import Scene

WORLD_KM = 16.0  # column 0 lies at x = -WORLD_KM / 2, row 0 at z = 0
FARTHEST_KM = 14.5  # what lies behind is not drawn
TREE_KM = 0.016
_SHADOW_DOUBLINGS = 6  # shadows reach 2^6 cells of half the grid
_STRIP = 32  # rows


@dataclass(frozen=True, slots=True)
class Terrain:
    """All grids are (size, size), rows along z. What the camera cannot see is left 0."""

    height: Field  # km; water stands at 0
    colour: Planes  # linear light, lit and shadowed
    forest: Field  # 0 to 1, how densely trees stand
    snow: Field  # 0 to 1, how much of it lies
    is_wooded: bool  # there are trees
    has_water: bool


def build(scene: Scene, size: int, random: np.random.Generator) -> Terrain:
    """Raise the land of a scene, plant it and light it."""
    steps = np.arange(size, dtype=np.float32) * np.float32(WORLD_KM / size)
    x, z = steps[None, :] - np.float32(WORLD_KM / 2), steps[:, None]
    patches = fractal(size, 8, 0.62, random)
    elsewhere = np.roll(patches, size // 3, 0)
    height = heights(scene.land, x, z, patches, random)
    fine = fractal(size, size // 8, 0.8, random)
    shadow = _shadows(scene, height)
    colour: Planes = np.zeros((3, size, size), np.float32)
    forest: Field = np.zeros((size, size), np.float32)
    snow: Field = np.zeros((size, size), np.float32)
    for rows, columns in _seen_strips(scene, size):
        cells = (rows, columns)
        slope_x, slope_z = _slopes(height, rows, columns)
        ground = Ground(
            x[:, columns],
            z[rows],
            height[cells],
            np.sqrt(slope_x * slope_x + slope_z * slope_z),
            patches[cells],
            elsewhere[cells],
            fine[cells],
        )
        albedo, forest[cells], snow[cells] = cover(scene, ground)
        light = _light(scene, slope_x, slope_z, shadow[cells] * np.float32(1 / 255))
        colour[:, rows, columns] = albedo * light
    return Terrain(height, colour, forest, snow, bool(forest.any()), bool(height.min() < 0))


def _seen_strips(scene: Scene, size: int) -> list[tuple[slice, slice]]:
    """Rows and columns of strips that hold all cells in view, and two more on each side."""
    cell_km = WORLD_KM / size
    strips = []
    for first in range(0, min(size, int(FARTHEST_KM / cell_km) + 3), _STRIP):
        last = min(size, first + _STRIP)
        reach = int(last * 0.5 / scene.focal) + 3
        low, high = max(0, size // 2 - reach), min(size, size // 2 + reach)
        if reach > size // 2 - 2:  # the view goes round the world's edge
            low, high = 0, size
        strips.append((slice(first, last), slice(low, high)))
    return strips


def _slopes(height: Field, rows: slice, columns: slice) -> tuple[Field, Field]:
    """Rise over run to the right and into the picture, by Sobel's weights."""
    size = len(height)
    over_8_cells = np.float32(size / (8 * WORLD_KM))
    around = cv2.copyMakeBorder(
        height[
            max(0, rows.start - 1) : rows.stop + 1, max(0, columns.start - 1) : columns.stop + 1
        ],
        int(rows.start == 0),
        int(rows.stop == size),
        int(columns.start == 0),
        int(columns.stop == size),
        cv2.BORDER_REFLECT_101,
    )
    field = np.asarray(around)
    smooth = field[:-2] + field[2:] + 2.0 * field[1:-1]
    rise = field[2:] - field[:-2]
    slope_z = rise[:, :-2] + rise[:, 2:] + 2.0 * rise[:, 1:-1]
    return (smooth[:, 2:] - smooth[:, :-2]) * over_8_cells, slope_z * over_8_cells


def _light(scene: Scene, slope_x: Field, slope_z: Field, shadow: Field) -> Planes:
    """Light on cells: direct with cast shadows, and from the sky."""
    across, rise, along = scene.towards_light
    over_norm = 1.0 / np.sqrt(1.0 + slope_x * slope_x + slope_z * slope_z)
    # A slope that faces the light falls in its direction.
    facing = (rise - slope_x * np.float32(across) - slope_z * np.float32(along)) * over_norm
    lit = np.maximum(facing, 0.0) * (1.0 - shadow)
    sky = 0.45 + 0.55 * over_norm
    direct, ambient = 1.0 - 0.55 * scene.cloud_cover**2, 1.0 + 0.5 * scene.cloud_cover**2
    colours = zip(scene.hour.light, scene.hour.ambient, strict=True)
    return np.stack(
        [lit * np.float32(a * direct) + sky * np.float32(b * ambient) for a, b in colours]
    )


def _shadows(scene: Scene, height: Field) -> Field:
    """How much of the light other land takes from every cell, 0 to 255.

    Worked out on every other cell: the lowest ray that reaches it, by doubling the distance looked
    at.
    """
    coarse = np.ascontiguousarray(height[::2, ::2])
    across, rise, along = scene.towards_light
    flat = (across * across + along * along) ** 0.5
    across, along, tangent = across / flat, along / flat, rounded(rise / flat)
    cell_km = WORLD_KM / len(coarse)
    highest = np.roll(coarse, (-round(along), -round(across)), (0, 1)) - cell_km * tangent
    for doubling in range(_SHADOW_DOUBLINGS):
        cells = 2**doubling
        moved = np.roll(highest, (-round(along * cells), -round(across * cells)), (0, 1))
        highest = np.maximum(highest, moved - cells * cell_km * tangent)
    amount = smoothstep(0.0, 0.05, highest - coarse)
    return doubled((amount * 255.0).astype(np.uint16))
