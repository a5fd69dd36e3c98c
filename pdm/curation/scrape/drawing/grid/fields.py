"""Arithmetic on fields that gives the same bits on every processor."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]  # float32, (rows, columns)
Colour = tuple[float, float, float]  # linear light
Planes = NDArray[Any]  # three fields: red, green, blue


def smoothstep(low: float, high: float, values: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    ramp = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp))


def falloff(distance: Field) -> Field:
    """About exp(-distance), for distances from 0: (1 + distance / 64) ** -64."""
    power = 1.0 + np.clip(distance, 0, 100) * np.float32(1 / 64)
    for _ in range(6):
        power *= power
    return np.asarray(1.0 / power)


def sine(turns: Field) -> Field:
    """Sine of an angle in turns, to within 0.001 (two parabolas, and their square mixed in)."""
    turns = turns - np.rint(turns)
    rough = turns * (8.0 - 16.0 * np.abs(turns))
    return np.asarray(rough * (0.775 + 0.225 * np.abs(rough)))


def mix(below: Field, above: Field, amount: Field) -> Field:
    """`below` where `amount` is 0, `above` where it is 1."""
    return np.asarray(below + amount * (above - below))


def column(colour: Colour) -> Planes:
    """A colour as planes of one cell."""
    return np.array(colour, np.float32)[:, None, None]


def rounded(value: float) -> float:
    """A number from the system's mathematical library, whose last digits differ between systems."""
    return round(value, 9)


def direction(azimuth: float) -> tuple[float, float]:
    """Parts to the right and into the picture of a unit vector."""
    return rounded(math.sin(azimuth)), rounded(math.cos(azimuth))


def doubled(field: NDArray[Any]) -> NDArray[Any]:
    """Twice the rows and columns, smooth: cubic B-spline subdivision. Row 2i lies on row i.

    Args:
        field: Whole numbers of 16 bits, on which OpenCV rounds alike everywhere.
    """
    assert field.dtype in (np.int16, np.uint16), field.dtype
    return np.asarray(cv2.pyrUp(field))


class Sampler:
    """Reads fields at positions between their cells, interpolated; beyond a field's side the same
    field goes on."""

    def __init__(self, size: int, columns: Field, rows: Field) -> None:
        """
        Args:
            size: Side of the fields in cells, a power of two.
            columns: Positions in cells, which broadcast with `rows` to the result's shape.
        """
        left, top = np.floor(columns), np.floor(rows)
        self._across, self._down = columns - left, rows - top
        last = np.int32(size - 1)
        left, top = left.astype(np.int32), top.astype(np.int32)
        right, bottom = (left + np.int32(1)) & last, (top + np.int32(1)) & last
        left, top = left & last, top & last
        top, bottom = top * np.int32(size), bottom * np.int32(size)
        corners = (top + left, top + right, bottom + left, bottom + right)
        self._corners = [corner.astype(np.intp) for corner in corners]

    def read(self, field: Field) -> Field:
        """Values of a field, (size, size)."""
        flat = field.reshape(-1)
        top_left, top_right, low_left, low_right = (flat.take(at) for at in self._corners)
        upper = top_left + self._across * (top_right - top_left)
        lower = low_left + self._across * (low_right - low_left)
        return np.asarray(upper + self._down * (lower - upper))
