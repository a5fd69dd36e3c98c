"""From linear light to a photograph: weather before the lens, exposure, tone, grain."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.noise import Field, rgb
from pdm.curation.scrape.drawing.scene import Scene

_TONES = 65536  # entries of the tone curve's table
_WHITE = 4.0  # linear light that the curve maps to its end
_GRAIN = 5  # 8-bit levels; the standard deviation is 0.8 of it


def photograph(picture: Field, scene: Scene, random: np.random.Generator) -> NDArray[np.uint8]:
    """Expose and develop. Changes `picture`.

    Args:
        picture: (height, width, 3), linear light.

    Returns:
        uint8, (height, width, 3), RGB.
    """
    if scene.rain:
        _rain(picture, scene.rain, random)
    if scene.snowfall:
        _snowfall(picture, scene.snowfall, random)
    balance = rgb((scene.warmth, 1.0, 1.0 / scene.warmth)) * np.float32(_exposure(picture, scene))
    picture *= balance * np.float32(_TONES / _WHITE)
    linear = np.clip(picture, 0, _TONES - 1, out=picture).astype(np.uint16)
    toned = cv2.LUT(linear, _curve())
    grain = _grain(toned.shape[:2], random)
    return np.asarray(cv2.add(toned, cv2.merge([grain] * 3), dtype=cv2.CV_8U))


def _exposure(picture: Field, scene: Scene) -> float:
    """As a camera meters: towards a middle grey, but night stays darker than noon."""
    coarse = cv2.resize(picture, (64, 36), interpolation=cv2.INTER_AREA)
    mean = float(np.exp(np.log(coarse.mean(axis=2) + 0.01).mean()))
    goal = {"night": 0.10, "dusk": 0.14, "sunset": 0.20}.get(scene.hour.name, 0.27)
    return float((goal / mean) ** 0.75)


@lru_cache(maxsize=1)
def _curve() -> NDArray[np.uint8]:
    """Filmic tone curve (a fit of the film standard ACES by K. Narkowicz) with the display's gamma:
    8-bit levels over linear light."""
    linear = np.arange(_TONES) * (_WHITE / _TONES)
    tone = (linear * (2.51 * linear + 0.03)) / (linear * (2.43 * linear + 0.59) + 0.14)
    return np.rint(255.0 * np.clip(tone, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _grain(shape: tuple[int, ...], random: np.random.Generator) -> Field:
    """Film grain: the sum of two even noises, in 8-bit levels."""
    first, second = random.integers(-_GRAIN, _GRAIN + 1, (2, *shape), dtype=np.int8)
    return np.asarray((first + second).astype(np.int16))


def _rain(picture: Field, strength: float, random: np.random.Generator) -> None:
    """Streaks, all slanted alike."""
    height_px, width_px = picture.shape[:2]
    drops = (random.random((height_px // 2, width_px // 2), dtype=np.float32) > 0.996).astype(
        np.float32
    )
    length = max(7, height_px // 60) | 1
    kernel = np.zeros((length, length), np.float32)
    slant = int(random.integers(-length // 3, length // 3 + 1))
    cv2.line(kernel, (length // 2 - slant // 2, 0), (length // 2 + slant // 2, length - 1), 1.0)
    streaks = cv2.resize(cv2.filter2D(drops, -1, kernel), (width_px, height_px))
    picture += (streaks * np.float32(0.05 * strength))[..., None]


def _snowfall(picture: Field, strength: float, random: np.random.Generator) -> None:
    """Flakes of three sizes, the nearest out of focus."""
    height_px, width_px = picture.shape[:2]
    level = float(picture.mean()) * 1.6 + 0.12
    for share, blur in ((0.004, 0.9), (0.0008, 1.8), (0.00008, 4.5)):
        blur *= width_px / 2560
        shape = (height_px, width_px)
        flakes = (random.random(shape, dtype=np.float32) > 1 - share * strength).astype(np.float32)
        peak = 2 * np.pi * max(blur, 0.4) ** 2
        soft = cv2.GaussianBlur(flakes, (0, 0), max(blur, 0.4)) * np.float32(peak * 0.8)
        amount = np.clip(soft, 0, 0.85)[..., None]
        picture += amount * (np.float32(level) - picture)
