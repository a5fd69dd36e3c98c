"""Plain borders of a picture: letterbox and pillarbox bars, frames, mats and paper margins.

A border is a band of one colour along a side, up to JPEG noise, that ends in one straight sharp
line. That line is what a night sky, snow, fog or a dark sea does not have: they end at an uneven
skyline or fade. A band at the top alone is always taken for sky. Works on a reduced picture; what
is trimmed is exact to one of its pixels, and errs inwards, so that no line of the border stays.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

TOLERANCE = 10  # grey levels, in any channel: JPEG noise and paper grain once reduced
MIN_STEP = 16  # grey levels between the border and the picture, just behind the line
MIN_STRAIGHT = 0.4  # of the side's length at which the border must end on the line itself
LINE_PX = 2  # an antialiased edge of the reduced picture is no wider
PLAIN = 1.0  # standard deviation of a band that counts without a second one on another side
MAX_FRAMES = 3  # one within the other: a mat in a frame, letterbox bars on paper


@dataclass(frozen=True, slots=True)
class Margins:
    """Depth of the border at each side, in pixels of the picture that was searched."""

    left: int
    top: int
    right: int
    bottom: int

    def __add__(self, other: "Margins") -> "Margins":
        return Margins(
            self.left + other.left,
            self.top + other.top,
            self.right + other.right,
            self.bottom + other.bottom,
        )


@dataclass(frozen=True, slots=True)
class _Band:
    depth: int
    colour: NDArray[np.int16]  # (3,)
    deviation: float


NO_MARGINS = Margins(0, 0, 0, 0)


def find_borders(pixels: Pixels) -> Margins:
    """How much of the picture (H, W, 3) is border, at each side.

    A plain picture, which is all border, has none: its rules are others.
    """
    found = NO_MARGINS
    for _ in range(MAX_FRAMES):
        inner = within(pixels, found)
        margins = _outer_frame(inner)
        if margins == NO_MARGINS or min(within(inner, margins).shape[:2]) < 2:
            break
        found += margins
    return found


def within(pixels: Pixels, margins: Margins) -> Pixels:
    """The picture without its margins."""
    height, width = pixels.shape[:2]
    return pixels[margins.top : height - margins.bottom, margins.left : width - margins.right]


def _outer_frame(pixels: Pixels) -> Margins:
    left, top = np.swapaxes(pixels, 0, 1), pixels
    bands = [_band(side) for side in (left, top, left[::-1], top[::-1])]
    depths = [
        band.depth if band is not None and _counts(place, bands) else 0
        for place, band in enumerate(bands)
    ]
    return Margins(*depths)


def _counts(place: int, bands: list[_Band | None]) -> bool:
    """Whether a second side bears the band out, or it is too plain to be anything but a border."""
    band = bands[place]
    assert band is not None
    for other_place, other in enumerate(bands):
        if other_place == place or other is None:
            continue
        if np.abs(band.colour - other.colour).max() <= TOLERANCE:
            return True
    top = place == 1
    return not top and band.deviation <= PLAIN


def _band(side_up: Pixels) -> _Band | None:
    """The band along the first rows of the picture, if it ends in a straight line."""
    height = len(side_up)
    if height < 3 * LINE_PX:
        return None
    colour = np.median(side_up[:LINE_PX], axis=(0, 1)).astype(np.int16)
    distance = np.abs(side_up.astype(np.int16) - colour).max(axis=2)
    outside = distance > TOLERANCE
    # How far the colour reaches down each column; columns that it fills are bars of other sides.
    reach = np.where(outside.any(axis=0), outside.argmax(axis=0), height)
    reach = reach[reach < height]
    if reach.size < 2:
        return None
    line = int(np.quantile(reach, 0.05, method="lower"))
    if line < 1 or (np.abs(reach - line) <= 1).mean() < MIN_STRAIGHT:
        return None
    behind = min(line + LINE_PX, height - 1)
    ends_here = outside[line : behind + 1].any(axis=0)
    if np.median(distance[behind, ends_here]) < MIN_STEP:
        return None
    deviation = float(side_up[: max(line - 1, 1)].std(axis=(0, 1)).max())
    return _Band(min(line + 1, height - 1), colour, deviation)
