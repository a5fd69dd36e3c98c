"""The sky: gradient, the sun or the moon with its glow, stars, clouds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.curation.scrape.drawing.grid.fields import (
    Field,
    Planes,
    Sampler,
    column,
    direction,
    falloff,
    mix,
    smoothstep,
)
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.noise import fractal
from pdm.curation.scrape.drawing.scene import Scene

_DISC = 0.011  # radians; about twice the true radius, as a lens's flare makes it look


@dataclass(frozen=True, slots=True)
class Clouds:
    """Tiles, (size, size), and by how much they are shifted."""

    heaps: Field  # density
    lit_side: Field  # how much thinner the density is towards the light
    streaks: Field
    shift: Field  # (2,), shares of the side


def clouds(scene: Scene, size: int, random: np.random.Generator) -> Clouds:
    """Two layers on planes overhead: brushed ice high up, heaps below it."""
    density = fractal(size, 4, scene.cloud_roughness, random)
    streaked = fractal(size, 4, 0.55, random)
    # The lit side of a cloud is thinner: look how the density changes towards the light.
    aside, along = (0.012 * size * part for part in direction(scene.light_azimuth))
    beyond = np.roll(density, (-round(along), -round(aside)), (0, 1))
    return Clouds(density, density - beyond, streaked, random.random(2).astype(np.float32))


def haze(scene: Scene, right: Field, up: Field) -> Planes:
    """Colour of the air before the land: brighter and warmer towards the light, darker high up, so
    that far mountains do not outshine the sky behind them."""
    low = falloff(np.maximum(up, 0) * 3.0)
    lobe = low * _lobe(scene, cosine_to_light(scene, right, up))
    return np.asarray(_gradient(scene, low) + lobe * column(scene.hour.light))


def draw(scene: Scene, layers: Clouds, right: Field, up: Field) -> tuple[Planes, Field]:
    """The sky along rays, and how much of the stars shows through, 0 to 1."""
    cosine = cosine_to_light(scene, right, up)
    low = falloff(np.maximum(up, 0) * 4.2)
    towards = np.clip(cosine, 0, 1)
    for _ in range(3):
        towards = towards * towards
    veil, cover, shade = _cloud_layers(scene, layers, right, up)
    clear = (1.0 - veil) * (1.0 - cover)
    # All colours are sums of the gradient, the light and the ambient light.
    behind = low * _lobe(scene, cosine) + _glow(scene, cosine)
    direct = clear * behind + (veil * (1.0 - cover)) * (0.38 + 0.5 * towards)
    direct += cover * shade * (0.42 + 0.55 * towards)
    ambient = veil * (1.0 - cover) + 1.1 * cover
    colour = _gradient(scene, low) * clear
    colour += direct * column(scene.hour.light)
    colour += ambient * column(scene.hour.ambient)
    return colour, clear


def cosine_to_light(scene: Scene, right: Field, up: Field) -> Field:
    """Cosine of the angle between each ray and the light."""
    across, rise, along = (np.float32(part) for part in scene.towards_light)
    norm = np.sqrt((1.0 + right * right) + up * up)
    return np.asarray((right * across + (up * rise + along)) / norm)


def _gradient(scene: Scene, low: Field) -> Planes:
    """From the horizon's colour to the zenith's, (3, rows, 1)."""
    horizon = column(scene.hour.horizon) * np.float32(0.82 * (1.0 - 0.25 * scene.cloud_cover))
    return mix(column(scene.hour.zenith), horizon, low)


def _lobe(scene: Scene, cosine: Field) -> Field:
    """Brightening of the air towards the light."""
    cube = np.clip(cosine, 0, 1)
    cube = cube * cube * cube
    return np.asarray(np.float32(0.35 * scene.hour.glow) * (cube * cube))


def _glow(scene: Scene, cosine: Field) -> Field:
    """Strength of the light's halo and disc."""
    angle = np.sqrt(np.clip(2.0 - 2.0 * cosine, 0, 4))
    halo = 0.8 * falloff(angle * 22.0) + 0.25 * falloff(angle * 5.0)
    glow = np.float32(scene.hour.glow * (1.6 - scene.cloud_cover)) * halo
    if scene.hour.name != "dusk" and angle.min() < 2 * _DISC:
        glow += 9.0 * (1.0 - smoothstep(_DISC * 0.85, _DISC * 1.05, angle))
    return np.asarray(glow)


def _cloud_layers(
    scene: Scene, layers: Clouds, right: Field, up: Field
) -> tuple[Field, Field, Field]:
    """How much ice and heaps cover, 0 to 1, and how bright the heaps are."""
    size = len(layers.heaps)
    high = np.maximum(up, 0)
    depth = np.float32(0.075) / (high + np.float32(0.06))
    across = right * depth
    first, second = (float(part) for part in layers.shift)
    low_layer = Sampler(size, (across + first) * size, (depth + second) * size)
    heaps, lit_side = low_layer.read(layers.heaps), low_layer.read(layers.lit_side)
    limit = 1.5 - 2.6 * scene.cloud_cover
    fade = np.clip(high * 14.0, 0, 1)
    cover = smoothstep(limit, limit + 0.9, heaps) * (np.float32(0.96) * fade)
    shade = np.clip(0.55 * lit_side - 0.16 * heaps + np.float32(0.5 + 0.16 * limit), 0.05, 1.3)
    high_layer = Sampler(size, (across * 0.35 + second) * size, (depth * 1.7 + first) * size)
    veil = smoothstep(0.2, 2.2, high_layer.read(layers.streaks)) * (np.float32(0.45) * fade)
    return veil, cover, shade


@dataclass(frozen=True, slots=True)
class Stars:
    """Pixels and the linear light that they add, (pixels,) and (pixels, 3)."""

    row: NDArray[np.int64]  # growing
    column: NDArray[np.int64]
    light: Field


def stars(scene: Scene, clear: Field, frame: Frame, random: np.random.Generator) -> Stars:
    """Stars of many magnitudes; fewer low down, none in the haze or behind clouds.

    Args:
        clear: (coarse rows, coarse columns), how much of them shows.
    """
    num_rows, num_columns = min(2 * len(clear), frame.height_px), frame.width_px
    count = int(num_rows * num_columns * 0.0011)
    row, place = (random.integers(0, side, count) for side in (num_rows, num_columns))
    magnitude = np.minimum(0.02 * (1.0 / np.sqrt(random.random(count) + 1e-6) - 1.0), 0.24)
    tint = random.uniform(0.75, 1.0, (count, 3))
    up = (frame.horizon_px - 0.5 - row) / frame.focal_px
    seen = clear[np.minimum(row // 2, len(clear) - 1), place // 2] * np.clip(up * 5.0, 0, 1)
    strength = 2.6 if scene.hour.name == "night" else 0.8
    return _spots(row, place, (strength * magnitude * seen)[:, None] * tint, frame)


def _spots(
    row: NDArray[np.int64], place: NDArray[np.int64], light: NDArray[np.float64], frame: Frame
) -> Stars:
    """Points of light as spots of 3 x 3 pixels."""
    across = np.array((-1, 0, 1))
    weight = np.array((0.32, 1.0, 0.32))
    rows = (row[:, None, None] + across[:, None] + 0 * across).reshape(-1)
    places = (place[:, None, None] + 0 * across[:, None] + across).reshape(-1)
    spread = (light[:, None, None] * (weight[:, None] * weight)[..., None]).reshape(-1, 3)
    inside = (rows >= 0) & (rows < frame.height_px) & (places >= 0) & (places < frame.width_px)
    order = np.flatnonzero(inside)[np.argsort(rows[inside], kind="stable")]
    return Stars(rows[order], places[order], spread[order].astype(np.float32))
