"""The sky: gradient, the sun or the moon with its glow, stars, clouds."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pdm.curation.scrape.drawing.noise import (
    Field,
    enlarged,
    fractal,
    mix,
    rgb,
    sample,
    smoothstep,
    times,
)
from pdm.curation.scrape.drawing.scene import Scene

_DISC = 0.011  # radians; about twice the true radius, as a lens's flare makes it look
_SMOOTH = 8  # what changes slowly is worked out on a grid so much coarser


@dataclass(frozen=True, slots=True)
class Rays:
    """Directions of pixels' rays, (1, columns) and (rows, 1): tangents right and up from ahead."""

    right: Field
    up: Field

    def coarse(self, factor: int = _SMOOTH) -> "Rays":
        """Fewer rays over the same angles, by `factor` in both directions."""
        num_columns = max(2, self.right.shape[1] // factor)
        num_rows = max(2, len(self.up) // factor)
        return Rays(enlarged(self.right, num_columns, 1), enlarged(self.up, 1, num_rows))


def rays(scene: Scene, width_px: int, height_px: int, first: int, last: int) -> Rays:
    """Rays of the rows from `first` up to but without `last` of a picture."""
    focal_px = scene.focal * width_px
    right = (np.arange(width_px, dtype=np.float32) + 0.5 - width_px / 2) / focal_px
    up = (scene.horizon * height_px - np.arange(first, last, dtype=np.float32) - 0.5) / focal_px
    return Rays(right[None, :].astype(np.float32), up[:, None].astype(np.float32))


def haze(scene: Scene, direction: Rays) -> Field:
    """Colour of the air before the land: brighter and warmer towards the light, darker high up, so
    that far mountains do not outshine the sky behind them."""
    coarse = direction.coarse()
    colour = _haze(scene, _cosine(scene, coarse))
    high = 1.0 - np.exp(np.maximum(coarse.up, 0) * -3.0)[..., None]
    colour += high * (rgb(scene.hour.zenith) - colour)
    return enlarged(colour, direction.right.shape[1], len(direction.up))


def draw(scene: Scene, direction: Rays, random: np.random.Generator, size: int) -> Field:
    """The sky along some rays, (rows, columns, 3)."""
    if scene.is_dark:  # stars are points
        return _draw_at(scene, direction, random, size)
    half = _draw_at(scene, direction.coarse(2), random, size)
    return enlarged(half, direction.right.shape[1], len(direction.up))


def _draw_at(scene: Scene, direction: Rays, random: np.random.Generator, size: int) -> Field:
    coarse = direction.coarse()
    cosine = _cosine(scene, coarse)
    amount = np.exp(np.maximum(coarse.up, 0) * -4.2)[..., None]
    zenith = rgb(scene.hour.zenith)
    smooth = zenith + amount * (_haze(scene, cosine) - zenith) + _halo(scene, cosine)
    num_columns, num_rows = direction.right.shape[1], len(direction.up)
    colour = enlarged(smooth, num_columns, num_rows)
    if scene.is_dark:
        colour += _stars(scene, direction, random)
    _add_disc(colour, scene, direction)
    return _clouded(colour, scene, direction, enlarged(cosine, num_columns, num_rows), random, size)


def _cosine(scene: Scene, direction: Rays) -> Field:
    """Cosine of the angle between each ray and the light, (rows, columns)."""
    flat, rise = math.cos(scene.light_height), math.sin(scene.light_height)
    across, along = math.sin(scene.light_azimuth) * flat, math.cos(scene.light_azimuth) * flat
    norm = np.sqrt(1.0 + np.square(direction.right) + np.square(direction.up))
    dot = direction.right * across + along + direction.up * rise
    return np.asarray(dot / norm)


def _haze(scene: Scene, cosine: Field) -> Field:
    lobe = np.float32(0.35 * scene.hour.glow) * np.clip(cosine, 0, 1) ** 6
    base = rgb(scene.hour.horizon) * np.float32(0.82 * (1.0 - 0.25 * scene.cloud_cover))
    return base + lobe[..., None] * rgb(scene.hour.light)


def _halo(scene: Scene, cosine: Field) -> Field:
    angle = np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0))
    halo = 0.8 * np.exp(angle * -22.0) + 0.25 * np.exp(angle * -5.0)
    strength = np.float32(scene.hour.glow * (1.6 - scene.cloud_cover)) * halo
    return strength[..., None] * rgb(scene.hour.light)


def _add_disc(colour: Field, scene: Scene, direction: Rays) -> None:
    """The sun or the moon itself, in place."""
    if scene.hour.name == "dusk":
        return
    right = math.tan(scene.light_azimuth)
    up = math.tan(scene.light_height) / math.cos(scene.light_azimuth)
    reach = 1.1 * _DISC / math.cos(scene.light_azimuth) ** 2
    columns = np.flatnonzero(np.abs(direction.right[0] - right) < reach)
    rows = np.flatnonzero(np.abs(direction.up[:, 0] - up) < reach)
    if not len(columns) or not len(rows):
        return
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    near = Rays(direction.right[:, window[1]], direction.up[window[0]])
    angle = np.sqrt(np.maximum(2.0 - 2.0 * _cosine(scene, near), 0))
    disc = 1.0 - smoothstep(_DISC * 0.85, _DISC * 1.05, angle)
    colour[window] += (9.0 * disc)[..., None] * rgb(scene.hour.light)


def _stars(scene: Scene, direction: Rays, random: np.random.Generator) -> Field:
    """Stars of many magnitudes; fewer low down, none at the haze."""
    num_rows, num_columns = len(direction.up), direction.right.shape[1]
    field: Field = np.zeros((num_rows, num_columns, 3), np.float32)
    num_stars = int(num_rows * num_columns * 0.0011)
    row, column = (random.integers(0, side, num_stars) for side in (num_rows, num_columns))
    magnitude = 0.02 * random.pareto(1.9, num_stars).clip(0, 12)
    tint = random.uniform(0.75, 1.0, (num_stars, 3))
    high = np.clip(direction.up[row, 0] * 5.0, 0, 1)
    field[row, column] = (magnitude * high)[:, None] * tint
    strength = 2.6 if scene.hour.name == "night" else 0.8
    soft = cv2.GaussianBlur(field, (0, 0), 0.65 * max(1.0, num_columns / 2560))
    return np.asarray(soft) * np.float32(strength)


def _clouded(
    colour: Field,
    scene: Scene,
    direction: Rays,
    cosine: Field,
    random: np.random.Generator,
    size: int,
) -> Field:
    """Two layers on planes overhead: brushed ice high up, heaps below it."""
    density = fractal(size, 4, scene.cloud_roughness, random)
    streaked = fractal(size, 4, 0.55, random)
    shift = random.random(2).astype(np.float32)
    up = np.maximum(direction.up, 0)
    depth = np.float32(0.075) / (up + np.float32(0.06))
    across = direction.right * depth
    # The lit side of a cloud is thinner: look how the density changes towards the light.
    along, aside = (0.012 * size * f(scene.light_azimuth) for f in (math.cos, math.sin))
    beyond = np.roll(density, (-round(along), -round(aside)), (0, 1))
    tile = np.dstack([density, density - beyond])
    seen = sample(tile, across + shift[0], depth + shift[1])
    heaps, lit_side = seen[..., 0], seen[..., 1]
    limit = 1.5 - 2.6 * scene.cloud_cover
    fade = np.clip(up * 14.0, 0, 1)
    cover = smoothstep(limit, limit + 0.9, heaps) * (np.float32(0.96) * fade)
    shade = np.clip(0.55 * lit_side - 0.16 * heaps + np.float32(0.5 + 0.16 * limit), 0.05, 1.3)
    streaks = sample(streaked, across * 0.35 + shift[1], depth * 1.7 + shift[0])
    veil = smoothstep(0.2, 2.2, streaks) * (np.float32(0.45) * fade)
    towards = np.clip(cosine, 0, 1) ** 8
    light, sky = rgb(scene.hour.light), rgb(scene.hour.ambient)
    colour = mix(colour, _tinted(0.38 + 0.5 * towards, light) + sky, veil)
    return mix(colour, _tinted(shade * (0.42 + 0.55 * towards), light) + sky * 1.1, cover)


def _tinted(strength: Field, colour: Field) -> Field:
    """A colour times a field."""
    full: Field = np.empty((*strength.shape, 3), np.float32)
    full[:] = colour
    return times(full, strength.astype(np.float32, copy=False))
