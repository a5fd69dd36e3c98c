"""From layers of linear light to a photograph: weather before the lens, exposure, tone, grain."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.air import sky, weather
from pdm.curation.scrape.drawing.detail import Finest
from pdm.curation.scrape.drawing.grid.fields import Field, mix, rounded
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.textures import Textures
from pdm.curation.scrape.drawing.layers import Layers
from pdm.curation.scrape.drawing.scene import Scene

Plane = NDArray[np.uint16]  # linear light, whole numbers up to _MAX_UINT16

_MAX_UINT16 = 65535
_WHITE = 4.0  # linear light that the tone curve maps to its end
_GRAIN = 5  # 8-bit levels; the standard deviation is 0.9 of it
_STRIP = 8  # coarse rows
_METERED = 16  # step of the meter, in coarse rows and columns


def photograph(
    scene: Scene, frame: Frame, layers: Layers, textures: Textures, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Expose and develop.

    Returns:
        uint8, (height, width, 3), RGB.
    """
    brightness = _brightness(layers, frame)
    scale = _exposure(scene, brightness) * (_MAX_UINT16 / _WHITE)
    balance = (scale * scene.warmth, scale, scale / scene.warmth)
    finest = Finest(frame, layers, textures, balance, int(random.integers(0, 2**12)))
    size = (frame.width_px, frame.height_px)
    stars = sky.stars(scene, layers.clear, frame, random) if scene.is_dark else None
    rain = weather.rain(scene.rain, *size, random) if scene.rain else None
    flakes = weather.snowfall(scene.snowfall, *size, random) if scene.snowfall else None
    picture = np.empty((frame.height_px, frame.width_px, 3), np.uint8)
    for first in range(0, (frame.height_px + 1) // 2, _STRIP):
        rows = slice(2 * first, min(2 * (first + _STRIP), frame.height_px))
        planes = finest.strip(first, min(first + _STRIP, frame.num_rows))
        planes = [plane[: rows.stop - rows.start] for plane in planes]
        if stars is not None:
            _add_stars(planes, stars, rows, scale)
        if rain is not None:
            planes = _with_rain(planes, rain[rows] * np.float32(scale))
        if flakes is not None:
            level = min((1.6 * brightness + 0.12) * scale, _MAX_UINT16)
            planes = [_covered(plane, level, flakes[rows]) for plane in planes]
        noise = np.frombuffer(random.bytes(planes[0].size), np.uint8).reshape(planes[0].shape)
        grain = [cv2.LUT(noise, levels) for levels in _grain()]
        cv2.merge([_develop(plane, *grain) for plane in planes], picture[rows])
    return picture


def _brightness(layers: Layers, frame: Frame) -> float:
    """Brightness between the picture's mean and that of its dark parts, in linear light: the square
    of the mean square root."""
    total, count = 0, 0
    columns = slice(None, None, _METERED)
    skyline = layers.skyline_px[columns]
    for row in range(0, frame.num_rows, _METERED):
        light = layers.sky[:, min(row, layers.sky.shape[1] - 1), columns]
        if row >= layers.top:
            own = row - layers.top
            light = mix(
                light, layers.land[:, own, columns], (skyline < 2 * row + 1).astype(np.float32)
            )
        roots = np.sqrt((light[0] + light[1] + light[2]) * np.float32(1 / 3))
        total += int((roots * np.float32(2**16)).astype(np.int64).sum())
        count += roots.size
    return (total / count / 2**16) ** 2


def _exposure(scene: Scene, brightness: float) -> float:
    """As a camera meters: towards a middle grey, but night stays darker than noon."""
    goal = {"night": 0.10, "dusk": 0.14, "sunset": 0.20}.get(scene.hour.name, 0.27)
    return rounded((goal / (brightness + 0.01)) ** 0.75)


def _add_stars(planes: list[Plane], stars: sky.Stars, rows: slice, scale: float) -> None:
    own = slice(*np.searchsorted(stars.row, (rows.start, rows.stop)))
    at = (stars.row[own] - rows.start, stars.column[own])
    for plane, light in zip(planes, stars.light[own].T, strict=True):
        plane[at] = np.clip(plane[at] + light * np.float32(scale), 0, _MAX_UINT16).astype(np.uint16)


def _with_rain(planes: list[Plane], light: Field) -> list[Plane]:
    added = np.clip(light, 0, _MAX_UINT16).astype(np.uint16)
    return [np.asarray(cv2.add(plane, added)) for plane in planes]


def _covered(plane: Plane, level: float, amount: Field) -> Plane:
    light = plane + amount * (np.float32(level) - plane)
    return np.asarray(light.astype(np.uint16))


def _develop(plane: Plane, brighter: NDArray[Any], darker: NDArray[Any]) -> NDArray[np.uint8]:
    """Tone and grain."""
    return np.asarray(cv2.subtract(cv2.add(cv2.LUT(plane, _curve()), brighter), darker))


@lru_cache(maxsize=1)
def _curve() -> NDArray[np.uint8]:
    """Filmic tone curve (a fit of the film standard ACES by K. Narkowicz) with the display's gamma:
    8-bit levels over linear light."""
    linear = np.arange(_MAX_UINT16 + 1) * (_WHITE / _MAX_UINT16)
    tone = (linear * (2.51 * linear + 0.03)) / (linear * (2.43 * linear + 0.59) + 0.14)
    levels = 255.0 * np.clip(tone, 0, 1) ** (1 / 2.2)
    return np.rint(np.round(levels, 6)).astype(np.uint8)  # a power's last digits differ by system


@lru_cache(maxsize=1)
def _grain() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Film grain for each value of a random byte, in 8-bit levels: what it adds, and what it takes
    away. Spread as the sum of two even noises from -_GRAIN to _GRAIN."""
    ways = np.convolve(np.ones(2 * _GRAIN + 1), np.ones(2 * _GRAIN + 1)).cumsum()
    share = (np.arange(256) + 0.5) / 256
    levels = np.searchsorted(ways, share * ways[-1]) - 2 * _GRAIN
    return np.maximum(levels, 0).astype(np.uint8), np.maximum(-levels, 0).astype(np.uint8)
