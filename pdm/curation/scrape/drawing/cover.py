"""What lies on the land: rock, meadows, woods, sand, snow. Colours are albedos, linear light."""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.noise import Field, fractal, mix, rgb, smoothstep
from pdm.curation.scrape.drawing.scene import Colour, Scene

Pair = tuple[Colour, Colour]  # a cover varies between two colours

_MEADOW: dict[str, Pair] = {
    "spring": ((0.10, 0.22, 0.035), (0.20, 0.28, 0.06)),
    "summer": ((0.09, 0.16, 0.03), (0.26, 0.25, 0.08)),
    "autumn": ((0.22, 0.17, 0.05), (0.33, 0.20, 0.06)),
    "winter": ((0.20, 0.17, 0.11), (0.28, 0.24, 0.16)),
}
_WOOD: dict[str, Pair] = {
    "spring": ((0.035, 0.085, 0.020), (0.08, 0.15, 0.03)),
    "summer": ((0.022, 0.060, 0.018), (0.045, 0.095, 0.02)),
    "autumn": ((0.24, 0.085, 0.015), (0.34, 0.19, 0.02)),
    "winter": ((0.030, 0.045, 0.030), (0.06, 0.06, 0.045)),
}
_ROCK: dict[str, Pair] = {
    "dunes": ((0.50, 0.31, 0.15), (0.62, 0.42, 0.22)),
    "mesas": ((0.36, 0.13, 0.06), (0.52, 0.26, 0.13)),
}
_GREY_ROCK: Pair = ((0.13, 0.125, 0.125), (0.26, 0.24, 0.22))
_SAND: Colour = (0.36, 0.31, 0.22)
_SNOW: Colour = (0.80, 0.84, 0.92)
_SNOW_LINE_KM = {"winter": -0.1, "spring": 0.75, "summer": 1.15, "autumn": 1.0}
_DESERTS = ("dunes", "mesas")


@dataclass(frozen=True, slots=True)
class Ground:
    """What decides the cover of each cell, (size, size)."""

    height: Field  # km
    steepness: Field  # rise over run
    patches: Field  # broad noise, standard deviation 1
    fine: Field  # fine noise, standard deviation 1


def cover(
    scene: Scene, height: Field, steepness: Field, patches: Field, random: np.random.Generator
) -> tuple[Field, Field]:
    """Colour of the ground, (size, size, 3), and how densely trees stand, 0 to 1."""
    size = len(height)
    ground = Ground(height, steepness, patches, fractal(size, size // 8, 0.8, random))
    colour = _rock(scene, ground)
    forest: Field = np.zeros_like(height)
    if scene.land not in _DESERTS:
        mixed = smoothstep(-1.2, 1.2, patches + 0.5 * ground.fine)
        forest = _forest(ground)
        colour = mix(colour, _blend(_MEADOW[scene.season], mixed), _meadow(ground))
        colour = mix(colour, _blend(_WOOD[scene.season], mixed), forest)
        sand = 1.0 - smoothstep(0.004, 0.02, height + 0.004 * ground.fine)
        colour = mix(colour, _plain(_SAND, colour), sand)
        colour = mix(colour, _plain(_SNOW, colour), _snow(scene, ground, forest))
    return colour, forest


def _rock(scene: Scene, ground: Ground) -> Field:
    colour = _blend(_ROCK.get(scene.land, _GREY_ROCK), smoothstep(-1.5, 1.5, ground.fine))
    if scene.land == "mesas":  # layers
        strata = np.sin(ground.height * 95 + 0.6 * ground.patches)
        strata += 0.5 * np.sin(ground.height * 231)
        colour *= (1.0 + 0.22 * strata)[..., None]
    return colour


def _meadow(ground: Ground) -> Field:
    gentle = 1.0 - smoothstep(0.55, 0.95, ground.steepness + 0.12 * ground.fine)
    return gentle * (1.0 - smoothstep(0.75, 1.25, ground.height + 0.1 * ground.patches))


def _forest(ground: Ground) -> Field:
    elsewhere = np.roll(ground.patches, len(ground.patches) // 3, 0)
    woods = smoothstep(-0.05, 0.35, elsewhere + 0.35 * ground.fine)
    woods *= 1.0 - smoothstep(0.9, 1.3, ground.steepness)
    woods *= 1.0 - smoothstep(0.55, 0.85, ground.height + 0.08 * ground.patches)
    return woods * smoothstep(0.012, 0.03, ground.height)


def _snow(scene: Scene, ground: Ground, forest: Field) -> Field:
    line = _SNOW_LINE_KM[scene.season]
    wavy = ground.height + 0.13 * ground.patches + 0.05 * ground.fine
    lying = smoothstep(line, line + 0.22, wavy)
    lying *= 1.0 - smoothstep(0.85, 1.7, ground.steepness + 0.1 * ground.fine)
    return lying * (1.0 - 0.6 * forest)


def _blend(pair: Pair, amount: Field) -> Field:
    first, second = (_plain(colour, np.empty((*amount.shape, 3))) for colour in pair)
    return mix(first, second, amount)


def _plain(colour: Colour, like: Field) -> Field:
    full: Field = np.empty(like.shape, np.float32)
    full[:] = rgb(colour)
    return full
