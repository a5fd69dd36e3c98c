"""Water: a mirror of what stands behind it, broken by waves, over its own dark colour."""

import numpy as np

from pdm.curation.scrape.drawing.grid.fields import Field, Planes, column, mix, smoothstep
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.textures import Textures, deviation
from pdm.curation.scrape.drawing.scene import Scene

_FARTHEST_WAVE_KM = 2.9  # beyond it waves are finer than a pixel


def surface(
    scene: Scene,
    frame: Frame,
    behind: Planes,
    camera_km: float,
    rows: range,
    textures: Textures,
    wave_height: float,
) -> Planes:
    """Colour of water that fills some coarse rows below the horizon.

    Args:
        behind: The picture's coarse rows above the horizon.
        wave_height: Height of the waves, around 1.
    """
    down = -frame.up(rows.start, rows.stop)
    depth = np.minimum(np.float32(camera_km) / np.maximum(down, 1e-3), _FARTHEST_WAVE_KM)
    swell = deviation(textures.swell.read(depth, frame.right()))
    ripple = deviation(textures.ripple.read(depth, frame.right()))
    slope = (swell + 0.8 * ripple) * np.float32(wave_height)
    seen = _mirrored(behind, slope, np.clip(down * 6.0, 0.04, 1.0), rows, frame)
    steep = np.clip(down * 2.2 * (1.0 + 0.35 * slope), 0, 1)
    flat = 1.0 - steep
    fresnel = 0.11 + 0.79 * (flat * flat * flat)
    light, ambient = column(scene.hour.light), column(scene.hour.ambient)
    deep = ambient * column((0.10, 0.28, 0.32)) + light * column((0.006, 0.022, 0.024))
    glitter = smoothstep(1.3, 2.6, ripple + 0.6 * swell) * np.float32(0.10)
    return mix(deep, seen, fresnel) + glitter * column(scene.hour.horizon)


def _mirrored(behind: Planes, slope: Field, near: Field, rows: range, frame: Frame) -> Planes:
    """What stands behind, upside down, shaken by the slope of the waves."""
    num_rows, num_columns = behind.shape[1:]
    own = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    row = np.float32(frame.horizon_px) - own + slope * (near * np.float32(0.015 * frame.height_px))
    # Above the picture's edge it is mirrored once more.
    row = np.clip(np.abs(row), 0, num_rows - 1.001)
    shift = slope * (near * np.float32(0.002 * frame.width_px))
    place = np.clip(np.arange(num_columns) + shift, 0, num_columns - 1).astype(np.int32)
    upper = row.astype(np.int32)
    fraction = row - upper
    first = upper * np.int32(num_columns) + place
    second = first + np.int32(num_columns)
    planes = behind.reshape(3, -1)
    return np.stack([mix(plane.take(first), plane.take(second), fraction) for plane in planes])
