"""Noise that repeats without a seam: row and column 0 continue the last ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def fractal(size: int, coarsest: int, roughness: float, random: np.random.Generator) -> Field:
    """Sum of octaves of value noise, each twice as fine as the one before.

    Args:
        size: Side in cells, a power of two.
        coarsest: Bumps per side in the first octave, a power of two.
        roughness: Amplitude of an octave over that of the one before; 0.5 looks like land.

    Returns:
        (size, size), mean 0, standard deviation 1.
    """
    total = np.zeros((coarsest, coarsest), np.float32)
    amplitude = 1.0
    while True:
        bumps = random.standard_normal(total.shape, dtype=np.float32)
        total += np.float32(amplitude) * bumps
        if len(total) >= size:
            break
        total = _double(total)
        amplitude *= roughness
    return _standardised(total)


def ridged(size: int, coarsest: int, roughness: float, random: np.random.Generator) -> Field:
    """Sharp crests and branching valleys: octaves of 1 - |noise|, finer ones stronger on crests
    (Musgrave's ridged multifractal).

    Returns:
        (size, size), values in [0, 1].
    """
    total = np.zeros((size, size), np.float32)
    weight = np.ones((size, size), np.float32)
    amplitude, bumps = 1.0, coarsest
    while bumps <= size // 2:
        octave = random.standard_normal((bumps, bumps), dtype=np.float32)
        while len(octave) < size:
            octave = _double(octave)
        crest = np.square(1.0 - np.clip(np.abs(octave) * 0.62, 0.0, 1.0))
        total += np.float32(amplitude) * crest * weight
        weight = np.clip(weight * crest * 1.8, 0.0, 1.0)
        amplitude *= roughness
        bumps *= 2
    total -= total.min()
    return total / max(float(total.max()), 1e-6)


def warped(field: Field, by: Field, cells: float) -> Field:
    """Shift every cell by up to about `cells` along a second noise, which bends straight features."""
    size = len(field)
    rows, columns = np.indices(field.shape, dtype=np.float32)
    shift = np.float32(cells) * by
    other = np.roll(shift, (size // 3, size // 5), (0, 1))
    return cv2.remap(
        field, columns + shift, rows + other, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )


def sample(field: Field, across: Field, along: Field) -> Field:
    """Values at positions given in periods of the field (column, row), interpolated, wrapping round.

    Args:
        field: (size, size) or (size, size, 3).
        across: Column / size, any shape of two dimensions; `along` likewise for rows.
    """
    size = np.float32(len(field))
    # The fraction first: OpenCV's fixed-point coordinates overflow far from the origin.
    column = (across - np.floor(across)) * size
    row = (along - np.floor(along)) * size
    return cv2.remap(field, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def smoothstep(low: float, high: float, values: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    ramp = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def _double(field: Field) -> Field:
    """Twice the side, interpolated, still without a seam."""
    side = len(field)
    padded = np.pad(field, 2, mode="wrap") if side > 1 else np.full((5, 5), field[0, 0], np.float32)
    larger = cv2.resize(padded, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return larger[4 : 4 + 2 * side, 4 : 4 + 2 * side]


def _standardised(field: Field) -> Field:
    return (field - field.mean()) / max(float(field.std()), 1e-6)
