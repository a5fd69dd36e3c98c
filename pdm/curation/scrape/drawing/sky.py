"""The sky: gradient, the sun or the moon with its glow, stars, clouds."""

from dataclasses import dataclass

import cv2
import numpy as np

from pdm.curation.scrape.drawing.noise import Field, fractal, sample, smoothstep
from pdm.curation.scrape.drawing.scene import Scene

_SUN_RADIUS = 0.011  # radians; about twice the true one, as a lens's flare makes it look


@dataclass(frozen=True, slots=True)
class Rays:
    """Direction of each pixel's ray, (rows, columns): tangents right and up from straight ahead."""

    right: Field
    up: Field


def rays(scene: Scene, width_px: int, height_px: int) -> Rays:
    """Rays of the whole picture."""
    focal_px = scene.focal * width_px
    right = (np.arange(width_px, dtype=np.float32) + 0.5 - width_px / 2) / focal_px
    up = (scene.horizon * height_px - np.arange(height_px, dtype=np.float32) - 0.5) / focal_px
    return Rays(right[None, :].astype(np.float32), up[:, None].astype(np.float32))


def glow(scene: Scene, direction: Rays) -> Field:
    """Cosine of the angle between each ray and the light."""
    across, along = np.sin(scene.light_azimuth), np.cos(scene.light_azimuth)
    flat, rise = np.cos(scene.light_height), np.sin(scene.light_height)
    norm = np.sqrt(1.0 + np.square(direction.right) + np.square(direction.up))
    dot = direction.right * np.float32(across * flat) + np.float32(along * flat)
    return (dot + direction.up * np.float32(rise)) / norm


def haze_colour(scene: Scene, cosine: Field) -> Field:
    """Colour of the air at the horizon: brighter and warmer towards the light."""
    near = np.clip(cosine, 0, 1)
    lobe = 0.35 * near**6 * scene.hour.glow
    base = np.float32(scene.hour.horizon) * np.float32(1.0 - 0.25 * scene.cloud_cover)
    return base * np.float32(0.82) + lobe[..., None] * np.float32(scene.hour.light)


def draw(scene: Scene, direction: Rays, random: np.random.Generator, size: int) -> Field:
    """The whole sky above the horizon, (rows, columns, 3)."""
    cosine = glow(scene, direction)
    climb = np.clip(direction.up, 0, None)
    amount = np.broadcast_to(np.exp(-climb * 4.2), cosine.shape)[..., None]
    zenith = np.float32(scene.hour.zenith)
    colour = zenith + amount * (haze_colour(scene, cosine) - zenith)
    if scene.is_dark:
        colour += _stars(scene, direction, random)
    colour += _light(scene, cosine)
    _add_clouds(colour, scene, direction, cosine, random, size)
    return colour


def _light(scene: Scene, cosine: Field) -> Field:
    """The disc and its halo."""
    if scene.hour.name == "dusk":
        return np.zeros((1, 1, 3), np.float32)
    angle = np.sqrt(np.clip(2.0 - 2.0 * cosine, 0, None))
    disc = 1.0 - smoothstep(_SUN_RADIUS * 0.85, _SUN_RADIUS * 1.05, angle)
    halo = np.exp(-angle * 22.0) * 0.8 + np.exp(-angle * 5.0) * 0.25
    strength = disc * 9.0 + halo * scene.hour.glow * (1.6 - scene.cloud_cover)
    return strength[..., None] * np.float32(scene.hour.light)


def _stars(scene: Scene, direction: Rays, random: np.random.Generator) -> Field:
    """Stars of many magnitudes; fewer low down, none at the haze."""
    rows, columns = direction.up.shape[0], direction.right.shape[1]
    field = np.zeros((rows, columns, 3), np.float32)
    num_stars = int(rows * columns * 0.0011)
    row = random.integers(0, rows, num_stars)
    column = random.integers(0, columns, num_stars)
    magnitude = random.pareto(1.9, num_stars).astype(np.float32).clip(0, 12) * 0.02
    tint = random.uniform(0.75, 1.0, (num_stars, 3)).astype(np.float32)
    high = np.clip(direction.up[row, 0] * 5.0, 0, 1)
    field[row, column] = (magnitude * high)[:, None] * tint
    strength = 1.0 if scene.hour.name == "night" else 0.3
    return cv2.GaussianBlur(field, (0, 0), 0.65 * max(1.0, columns / 2560)) * np.float32(
        2.6 * strength
    )


def _add_clouds(
    colour: Field,
    scene: Scene,
    direction: Rays,
    cosine: Field,
    random: np.random.Generator,
    size: int,
) -> None:
    """Two layers on planes overhead: heaps low down, brushed ice high up."""
    seen = int((direction.up[:, 0] > 0.004).sum())
    if not seen:
        return
    up = direction.up[:seen]
    depth = np.broadcast_to(1.0 / (up + 0.06), (seen, colour.shape[1]))
    across = direction.right * depth * 0.075
    along = depth * 0.075
    density = fractal(size, 4, scene.cloud_roughness, random)
    thin = fractal(size, 4, 0.55, random)
    shift = random.random(2).astype(np.float32)
    heaps = sample(density, across + shift[0], along + shift[1])
    # Brightness from the density's change towards the light: the lit side of a cloud is thinner.
    towards_x, towards_z = np.sin(scene.light_azimuth), np.cos(scene.light_azimuth)
    beyond = sample(
        density,
        across + shift[0] + np.float32(0.012 * towards_x),
        along + shift[1] + np.float32(0.012 * towards_z),
    )
    limit = 1.5 - 2.6 * scene.cloud_cover
    cover = smoothstep(limit, limit + 0.9, heaps)
    shade = np.clip(0.5 + 0.55 * (heaps - beyond) - 0.16 * (heaps - limit), 0.05, 1.3)
    streaks = sample(thin, across * 0.35 + shift[1], along * 1.7 + shift[0])
    veil = smoothstep(0.2, 2.2, streaks) * 0.45
    fade = np.clip(up * 14.0, 0, 1)
    light, sky = np.float32(scene.hour.light), np.float32(scene.hour.ambient)
    towards = np.clip(cosine[:seen], 0, 1) ** 8
    high = light * (0.38 + 0.5 * towards[..., None]) + sky
    low = (shade * (0.42 + 0.55 * towards))[..., None] * light + sky * 1.1
    part = colour[:seen]
    part += (veil * fade)[..., None] * (high - part)
    part += (cover * fade * 0.96)[..., None] * (low - part)
