"""Rectangles of an image. A plan says which are enlarged, cut or reduced.

Sizes are (H, W) in pixels.
"""

import math
from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of an image in pixels, and not always at whole ones."""

    top: float
    left: float
    height: float
    width: float

    def times(self, factor: float) -> "Rectangle":
        """The same part of an image that is `factor` times as large."""
        return Rectangle(
            *(factor * side for side in (self.top, self.left, self.height, self.width))
        )


def centred(size: tuple[float, float], around: Rectangle, picture: Size) -> Rectangle:
    """Return an area with the middle of another, moved so that it begins and ends inside the image;
    one that is larger than the image begins at its edge."""
    starts = (around.top, around.left)
    sides = (around.height, around.width)
    top, left = (
        max(0.0, min(start + (side - own) / 2, whole - own))
        for start, side, own, whole in zip(starts, sides, size, picture, strict=True)
    )
    return Rectangle(top, left, *size)


def snap(area: Rectangle, size: Size) -> Rectangle:
    """Put an area that is only cut, and not reduced, to whole pixels."""
    if math.isclose(area.height, size[0]) and math.isclose(area.width, size[1]):
        return Rectangle(math.floor(area.top + 1e-6), math.floor(area.left + 1e-6), *size)
    return area
