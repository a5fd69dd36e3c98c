"""Noise that repeats without a seam (row and column 0 continue the last ones), and mixing by it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]  # float32, (rows, columns) or (rows, columns, 3)


def fractal(size: int, coarsest: int, roughness: float, random: np.random.Generator) -> Field:
    """Sum of octaves of value noise, each twice as fine as the one before.

    Args:
        size: Side in cells, a power of two.
        coarsest: Bumps per side in the first octave, a power of two.
        roughness: Amplitude of an octave over that of the one before; 0.5 looks like land.

    Returns:
        (size, size), mean 0, standard deviation 1.
    """
    total: Field = np.zeros((coarsest, coarsest), np.float32)
    amplitude = 1.0
    while True:
        total += np.float32(amplitude) * random.standard_normal(total.shape, dtype=np.float32)
        if len(total) >= size:
            return np.asarray((total - total.mean()) / np.float32(max(float(total.std()), 1e-6)))
        total = _double(total)
        amplitude *= roughness


def ridged(size: int, coarsest: int, roughness: float, random: np.random.Generator) -> Field:
    """Sharp crests and branching valleys: octaves of 1 - |noise|, finer ones stronger on crests
    (Musgrave's ridged multifractal).

    Returns:
        (size, size), values in [0, 1].
    """
    total: Field = np.zeros((size, size), np.float32)
    weight: Field = np.ones((size, size), np.float32)
    amplitude, bumps = 1.0, coarsest
    while bumps <= size // 2:
        octave: Field = random.standard_normal((bumps, bumps), dtype=np.float32)
        while len(octave) < size:
            octave = _double(octave)
        crest = np.square(1.0 - np.minimum(np.abs(octave) * np.float32(0.62), 1.0))
        weight *= crest
        total += np.float32(amplitude) * weight
        weight *= np.float32(1.8)
        np.minimum(weight, 1.0, out=weight)
        amplitude *= roughness
        bumps *= 2
    total -= total.min()
    return total / np.float32(max(float(total.max()), 1e-6))


def warped(field: Field, by: Field, cells: float) -> Field:
    """Shift every cell by about `cells` along a second noise, which bends straight features."""
    size = len(field)
    steps = np.arange(size, dtype=np.float32)
    shift = np.float32(cells) * by
    other = np.roll(shift, (size // 3, size // 5), (0, 1))
    return _look_up(field, steps + shift, steps[:, None] + other)


def sample(field: Field, across: Field, along: Field) -> Field:
    """Values at positions in periods of the field (column, row), interpolated, wrapping round.

    Args:
        field: (size, size), with up to four channels.
        across: Column / size; it and `along` (row / size) broadcast to the result's shape. Beyond
            32,767 cells they stand still, which is OpenCV's limit.
    """
    size = np.float32(len(field))
    across, along = np.broadcast_arrays(across * size, along * size)
    return _look_up(field, across, along)


def smoothstep(low: float, high: float, values: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    ramp = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp))


def mix(below: Field, above: Field, amount: Field) -> Field:
    """`below` where `amount` is 0, `above` where it is 1; both (rows, columns, 3)."""
    return np.asarray(cv2.blendLinear(below, above, np.float32(1.0) - amount, amount))


def times(picture: Field, factor: Field) -> Field:
    """Every channel of a picture times one field."""
    return np.asarray(cv2.multiply(picture, cv2.merge([factor] * 3)))


def enlarged(field: Field, width: int, height: int) -> Field:
    """A smooth field at full size."""
    return np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR))


def rgb(colour: tuple[float, float, float]) -> Field:
    """A colour as an array."""
    return np.array(colour, np.float32)


def _look_up(field: Field, column: Field, row: Field) -> Field:
    found = cv2.remap(
        field,
        column.astype(np.float32, copy=False),
        row.astype(np.float32, copy=False),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return np.asarray(found)


def _double(field: Field) -> Field:
    """Twice the side, interpolated, still without a seam."""
    side = len(field)
    padded = np.pad(field, 2, mode="wrap")
    larger = cv2.resize(padded, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger[4 : 4 + 2 * side, 4 : 4 + 2 * side])
