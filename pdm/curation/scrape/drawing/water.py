"""Water: a mirror of what stands behind it, broken by waves, over its own dark colour."""

import cv2
import numpy as np

from pdm.curation.scrape.drawing.noise import Field, enlarged, mix, rgb, sample, smoothstep, times
from pdm.curation.scrape.drawing.scene import Scene
from pdm.curation.scrape.drawing.sky import Rays

_FARTHEST_WAVE_KM = 2.9  # beyond it waves are finer than a pixel, and OpenCV's limit is near


def flood(
    picture: Field,
    water: Field,
    scene: Scene,
    camera_km: float,
    direction: Rays,
    waves: Field,
    calm: float,
) -> None:
    """Draw water in place, on the picture's last rows.

    Args:
        picture: (height, width, 3), sky and land, linear light.
        water: (rows, width), 1 where the water's surface shows, with soft shores.
        direction: Rays of the same rows.
        waves: Noise, a tile.
        calm: Height of the waves, around 1.
    """
    rows = np.flatnonzero(water.max(axis=1) > 0)
    if not len(rows):
        return
    skipped = len(picture) - len(water)
    water = water[rows[0] : rows[-1] + 1]
    down = -direction.up[rows[0] : rows[-1] + 1]
    first = skipped + int(rows[0])
    part = picture[first : first + len(water)]
    swell, ripple = _waves(waves, direction.right, down, camera_km)
    slope = (swell + np.float32(0.8) * ripple) * np.float32(calm)
    seen = _mirrored(picture, slope, np.clip(down * 6.0, 0.04, 1.0), first, scene)
    steep = np.clip(down * 2.2 * (1.0 + 0.35 * slope), 0, 1)
    fresnel = 0.11 + 0.79 * np.power(1.0 - steep, 3)
    deep: Field = np.empty_like(part)
    deep[:] = rgb(scene.hour.ambient) * rgb((0.10, 0.28, 0.32))
    deep += rgb(scene.hour.light) * rgb((0.006, 0.022, 0.024))
    surface = mix(deep, seen, fresnel.astype(np.float32))
    glitter = smoothstep(1.3, 2.6, ripple + 0.6 * swell) * np.float32(0.10)
    surface += times(np.broadcast_to(rgb(scene.hour.horizon), part.shape).copy(), glitter)
    part[:] = mix(part, surface, water)


def _waves(waves: Field, right: Field, down: Field, camera_km: float) -> tuple[Field, Field]:
    """Long and short waves at each pixel of the water."""
    depth = np.minimum(camera_km / np.maximum(down, 1e-3), _FARTHEST_WAVE_KM)
    across = right * depth
    # Long waves are smooth: every other row and column will do.
    swell = sample(waves, across[::2, ::2] * 2.0, depth[::2] * 1.1)
    return enlarged(swell, right.shape[1], len(down)), sample(
        waves, across * 11.0 + 0.3, depth * 7.0
    )


def _mirrored(picture: Field, slope: Field, near: Field, first: int, scene: Scene) -> Field:
    """The picture above the horizon, upside down, shaken by the slope of the waves."""
    height_px, width_px = picture.shape[:2]
    horizon_px = scene.horizon * height_px
    own = np.arange(first, first + len(slope), dtype=np.float32)[:, None]
    row = 2.0 * horizon_px - own + slope * (near * np.float32(0.03 * height_px))
    column = np.arange(width_px, dtype=np.float32) + slope * (near * np.float32(0.004 * width_px))
    # Above the picture's edge it is mirrored once more.
    row = np.minimum(row, max(horizon_px - 1, 0)).astype(np.float32)
    column = column.astype(np.float32)
    seen = cv2.remap(picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen)
