"""The part of an image that is drawn anew: around a hole, at a size that the networks take."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels
from pdm.tasks.partial_pictures.masks import Mask

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of an image: `height` rows from `top`, `width` columns from `left`."""

    top: int
    left: int
    height: int
    width: int

    def of(self, picture: NDArray[Value]) -> NDArray[Value]:
        """Cut the rectangle out of (H, W, ...), as a view."""
        rows = slice(self.top, self.top + self.height)
        return picture[rows, self.left : self.left + self.width]


def window_around(mask: Mask, least: tuple[int, int], multiple: int) -> Window:
    """Return a window with the whole mask, and half its size again around it on every side.

    Args:
        mask: True somewhere.
        least: (H, W), the least size, as far as the image is as large.
        multiple: Sides are rounded up to multiples of it, as far as the image is as large.
    """
    spans = []
    for axis in (0, 1):
        touched = np.flatnonzero(mask.any(axis=1 - axis))
        spans.append(
            _span(int(touched[0]), int(touched[-1]) + 1, mask.shape[axis], least[axis], multiple)
        )
    (top, height), (left, width) = spans
    return Window(top, left, height, width)


def pad_to_size(picture: Pixels, mask: Mask, size: tuple[int, int]) -> tuple[Pixels, Mask]:
    """Extend an image at the bottom and on the right by its mirror image; the mask by nothing."""
    height, width = mask.shape
    margins = [(0, size[0] - height), (0, size[1] - width)]
    return np.pad(picture, [*margins, (0, 0)], "symmetric"), np.pad(mask, margins)


def round_up(side: int, multiple: int) -> int:
    """Return the least multiple that is not smaller."""
    return -(-side // multiple) * multiple


def _span(start: int, stop: int, side: int, least: int, multiple: int) -> tuple[int, int]:
    """Return start and length of the window along one axis."""
    length = round_up(max(least, 2 * (stop - start)), multiple)
    if length >= side:
        return 0, side
    begin = (start + stop - length) // 2
    return min(max(begin, 0), side - length), length
