"""Rectangles of a picture. A plan says which are enlarged, cut or reduced.

Sizes are (H, W) in pixels.
"""

import math
from dataclasses import dataclass

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture in pixels, and not always at whole ones."""

    top: float
    left: float
    height: float
    width: float

    def times(self, factor: float) -> "Box":
        """The same part of a picture that is `factor` times as large."""
        return Box(*(factor * side for side in (self.top, self.left, self.height, self.width)))


def centred(size: tuple[float, float], around: Box, picture: Size) -> Box:
    """Return a box with the middle of another, moved so that it begins and ends inside the picture;
    one that is larger than the picture begins at its edge."""
    starts = (around.top, around.left)
    sides = (around.height, around.width)
    top, left = (
        max(0.0, min(start + (side - own) / 2, whole - own))
        for start, side, own, whole in zip(starts, sides, size, picture, strict=True)
    )
    return Box(top, left, *size)


def snap(box: Box, size: Size) -> Box:
    """Put a box that is only cut, and not reduced, to whole pixels."""
    if math.isclose(box.height, size[0]) and math.isclose(box.width, size[1]):
        return Box(math.floor(box.top + 1e-6), math.floor(box.left + 1e-6), *size)
    return box
