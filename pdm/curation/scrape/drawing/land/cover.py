"""What lies on the land: rock, meadows, fields, woods, sand, snow. Colours are albedos, linear
light."""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.grid.fields import (
    Colour,
    Field,
    Planes,
    direction,
    mix,
    sine,
    smoothstep,
)
from pdm.curation.scrape.drawing.scene import Scene

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
_CROPS: dict[str, Pair] = {
    "spring": ((0.11, 0.27, 0.03), (0.60, 0.50, 0.04)),  # young wheat, rape in flower
    "summer": ((0.13, 0.20, 0.04), (0.52, 0.38, 0.13)),  # maize, ripe wheat
    "autumn": ((0.17, 0.11, 0.065), (0.42, 0.31, 0.14)),  # ploughed, stubble
    "winter": ((0.14, 0.10, 0.07), (0.14, 0.19, 0.06)),  # ploughed, winter wheat
}
_ROCK: dict[str, Pair] = {
    "dunes": ((0.50, 0.31, 0.15), (0.62, 0.42, 0.22)),
    "mesas": ((0.36, 0.13, 0.06), (0.52, 0.26, 0.13)),
    "volcano": ((0.045, 0.040, 0.042), (0.15, 0.095, 0.075)),
}
_GREY_ROCK: Pair = ((0.13, 0.125, 0.125), (0.26, 0.24, 0.22))
_SAND: Colour = (0.36, 0.31, 0.22)
_SNOW: Colour = (0.80, 0.84, 0.92)
_SNOW_LINE_KM = {"winter": -0.1, "spring": 0.75, "summer": 1.15, "autumn": 1.0}
_DESERTS = ("dunes", "mesas")
_FIELD_KM = (0.42, 0.30)  # width and depth of a farmer's field


@dataclass(frozen=True, slots=True)
class Ground:
    """What decides the cover of some cells, (rows, columns)."""

    x: Field  # km, (1, columns)
    z: Field  # km, (rows, 1)
    height: Field  # km
    steepness: Field  # rise over run
    patches: Field  # broad noise, standard deviation 1
    elsewhere: Field  # the same from another place
    fine: Field  # fine noise, standard deviation 1


def cover(scene: Scene, ground: Ground) -> tuple[Planes, Field, Field]:
    """Colour of the ground, how densely trees stand, and how much snow lies, 0 to 1."""
    colour = _rock(scene, ground)
    if scene.land in _DESERTS:
        return colour, np.zeros_like(ground.height), np.zeros_like(ground.height)
    mixed = smoothstep(-1.2, 1.2, ground.patches + 0.5 * ground.fine)
    meadow, forest = _meadow(scene, ground), _forest(scene, ground)
    sand = 1.0 - smoothstep(0.004, 0.02, ground.height + 0.004 * ground.fine)
    snow = _snow(scene, ground, forest)
    if scene.land == "plains":
        places = _places(scene, ground)
        forest = _hedges(ground, *places)
    _lay(colour, _MEADOW[scene.season], mixed, meadow)
    if scene.land == "plains":
        _lay(colour, _CROPS[scene.season], _crop(*places), meadow)
    _lay(colour, _WOOD[scene.season], mixed, forest)
    _lay(colour, (_SAND, _SAND), mixed, sand)
    _lay(colour, (_SNOW, _SNOW), mixed, snow)
    return colour, forest, snow


def _lay(colour: Planes, pair: Pair, mixed: Field, amount: Field) -> None:
    """Cover a share of each cell, in place, with a mixture of two colours."""
    if amount.any():
        for channel, plane in enumerate(colour):
            plane[:] = mix(plane, _between(pair, mixed, channel), amount)


def _rock(scene: Scene, ground: Ground) -> Planes:
    amount = smoothstep(-1.5, 1.5, ground.fine)
    pair = _ROCK.get(scene.land, _GREY_ROCK)
    colour = np.stack([_between(pair, amount, channel) for channel in range(3)])
    if scene.land == "mesas":  # layers
        strata = sine(ground.height * 15 + 0.1 * ground.patches)
        strata += 0.5 * sine(ground.height * 37)
        colour *= 1.0 + 0.22 * strata
    return colour


def _meadow(scene: Scene, ground: Ground) -> Field:
    gentle = 1.0 - smoothstep(0.55, 0.95, ground.steepness + 0.12 * ground.fine)
    top = 0.35 if scene.land == "volcano" else 0.75
    return gentle * (1.0 - smoothstep(top, top + 0.5, ground.height + 0.1 * ground.patches))


def _forest(scene: Scene, ground: Ground) -> Field:
    if scene.land == "plains":
        return np.zeros_like(ground.height)
    sparse = {"forest": -1.6, "snow": 0.15}.get(scene.land, -0.05)
    woods = smoothstep(sparse, sparse + 0.4, ground.elsewhere + 0.35 * ground.fine)
    woods *= 1.0 - smoothstep(0.9, 1.3, ground.steepness)
    woods *= 1.0 - smoothstep(0.55, 0.85, ground.height + 0.08 * ground.patches)
    return woods * smoothstep(0.012, 0.03, ground.height)


def _snow(scene: Scene, ground: Ground, forest: Field) -> Field:
    line = -1.0 if scene.land == "snow" else _SNOW_LINE_KM[scene.season]
    wavy = ground.height + 0.13 * ground.patches + 0.05 * ground.fine
    lying = smoothstep(line, line + 0.22, wavy)
    lying *= 1.0 - smoothstep(0.85, 1.7, ground.steepness + 0.1 * ground.fine)
    return lying * (1.0 - 0.6 * forest)


def _crop(across: Field, along: Field) -> Field:
    """A number from 0 to 1 for each farmer's field."""
    column, row = (np.floor(place).astype(np.int32) for place in (across, along))
    mixed = (column * np.int32(7919) ^ row * np.int32(104729)) & np.int32(0xFFFF)
    mixed = (mixed * np.int32(40503) >> np.int32(5)) & np.int32(255)
    return mixed * np.float32(1 / 255)


def _hedges(ground: Ground, across: Field, along: Field) -> Field:
    """Rows of trees along some of the fields' borders."""
    near = np.minimum(np.abs(across - np.rint(across)), np.abs(along - np.rint(along)))
    return (1.0 - smoothstep(0.02, 0.05, near)) * smoothstep(-0.3, 0.3, ground.elsewhere)


def _places(scene: Scene, ground: Ground) -> tuple[Field, Field]:
    """Positions in fields: which field, and where in it."""
    right, ahead = (np.float32(part) for part in direction(scene.bearing))
    shift = np.float32(100 * scene.bearing)
    across = (ground.x * ahead - ground.z * right) * np.float32(1 / _FIELD_KM[0]) + shift
    along = (ground.z * ahead + ground.x * right) * np.float32(1 / _FIELD_KM[1]) + shift
    return across + 0.06 * ground.patches, along + 0.06 * ground.elsewhere


def _between(pair: Pair, amount: Field, channel: int) -> Field:
    first, second = (np.float32(colour[channel]) for colour in pair)
    return first + amount * (second - first)
