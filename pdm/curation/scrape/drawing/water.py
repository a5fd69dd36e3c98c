"""Water: a mirror of what stands behind it, broken by waves, over its own dark colour."""

import cv2
import numpy as np

from pdm.curation.scrape.drawing.noise import Field, fractal, sample, smoothstep
from pdm.curation.scrape.drawing.scene import Scene
from pdm.curation.scrape.drawing.sky import Rays


def flood(
    picture: Field,
    water: Field,
    scene: Scene,
    camera_km: float,
    direction: Rays,
    random: np.random.Generator,
    size: int,
) -> None:
    """Draw water in place.

    Args:
        picture: (height, width, 3), sky and land, linear light.
        water: (height, width), 1 where the water's surface shows, with soft shores.
    """
    rows = np.flatnonzero(water.max(axis=1) > 0)
    if not len(rows):
        return
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    height_px, width_px = water.shape
    down = -direction.up[top:bottom]
    depth = camera_km / np.maximum(down, 1e-3)
    across = np.broadcast_to(direction.right * depth, (bottom - top, width_px))
    along = np.broadcast_to(depth, across.shape)
    waves = fractal(size, 16, 0.72, random)
    calm = np.float32(random.uniform(0.25, 1.0) + 0.8 * scene.rain)
    swell = sample(waves, across * 2.0, along * 1.1)
    ripple = sample(waves, across * 11.0 + 0.3, along * 7.0)
    near = np.clip(down * 6.0, 0.04, 1.0)
    slope = (swell + 0.8 * ripple) * calm
    horizon_px = scene.horizon * height_px
    own = np.arange(top, bottom, dtype=np.float32)[:, None]
    mirrored = 2.0 * horizon_px - own + slope * near * np.float32(0.03 * height_px)
    column = np.arange(width_px, dtype=np.float32) + slope * near * np.float32(0.004 * width_px)
    seen = cv2.remap(
        picture,
        column.astype(np.float32),
        np.clip(mirrored, 0, horizon_px - 1).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    fresnel = 0.12 + 0.85 * (1.0 - np.clip(down * 2.2 * (1.0 + 0.35 * slope), 0, 1)) ** 3
    deep = np.float32(scene.hour.ambient) * np.float32((0.10, 0.28, 0.32))
    deep = deep + np.float32(scene.hour.light) * np.float32((0.006, 0.022, 0.024))
    surface = deep + fresnel[..., None] * (seen * np.float32(0.92) - deep)
    glitter = smoothstep(1.3, 2.6, ripple + 0.6 * swell) * np.float32(0.10)
    surface += glitter[..., None] * np.float32(scene.hour.horizon)
    part = picture[top:bottom]
    part += water[top:bottom, :, None] * (surface - part)
