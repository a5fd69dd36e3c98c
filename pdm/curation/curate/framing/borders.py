"""Plain borders of a picture: letterbox and pillarbox bars, frames, mats and paper margins.

A border is a band of one colour along a side, up to JPEG noise, that ends in one straight sharp
line. That line is what a night sky, snow, fog or a dark sea does not have: they end at an uneven
skyline or fade. A band at the top alone is always taken for sky. Works on a reduced picture; what
is trimmed is exact to about one of its pixels, and errs inwards, so that no line of the border
stays. The limits were chosen on bordered copies of photographs: `docs/decisions/framing.md`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

TOLERANCE = 10  # grey levels, in any channel: JPEG noise and paper grain once reduced
MIN_INSIDE = 0.97  # of a row of the border within the tolerance; the rest is dust and noise
SPILL_PX = 8  # JPEG spills colour over the line by a block of 16 pixels of the full picture
MIN_STEP = 12  # grey levels over two rows, where a column leaves the border
# The least share of a side on which the border must end at the line itself. Where another side has
# a border of the same colour, less will do: part of the picture may be of that colour too.
ALONE, BORNE_OUT = 0.4, 0.15
PLAIN = 1.0  # standard deviation of a band that counts without a second one on another side
MAX_PASSES = 3  # frames lie within each other: a mat in a frame, letterbox bars on paper
MIN_SIDE_PX = 8  # a smaller picture is not searched

Colour = NDArray[np.int16]  # (3,)


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
    colour: Colour
    deviation: float
    straight: float  # share of the side on which it ends at its line


NO_MARGINS = Margins(0, 0, 0, 0)
TOP = 1  # place among the sides: left, top, right, bottom


def find_borders(pixels: Pixels) -> Margins:
    """How much of the picture (H, W, 3) is border, at each side.

    A plain picture, which is all border, has none: its rules are others.
    """
    found, colours = NO_MARGINS, list[Colour]()
    for _ in range(MAX_PASSES):
        inner = within(pixels, found)
        if min(inner.shape[:2]) < MIN_SIDE_PX:
            break
        margins = _outer_frame(inner, colours)
        if margins == NO_MARGINS:
            break
        found += margins
    return found


def within(pixels: Pixels, margins: Margins) -> Pixels:
    """The picture without its margins."""
    height, width = pixels.shape[:2]
    return pixels[margins.top : height - margins.bottom, margins.left : width - margins.right]


def _outer_frame(pixels: Pixels, colours: list[Colour]) -> Margins:
    """The margins that one look finds; adds their colours to those found before."""
    left, top = np.swapaxes(pixels, 0, 1), pixels
    bands = [_band(side) for side in (left, top, left[::-1], top[::-1])]
    counting = [
        band if band and _counts(place, bands, colours) else None
        for place, band in enumerate(bands)
    ]
    colours += [band.colour for band in counting if band]
    return Margins(*(band.depth if band else 0 for band in counting))


def _counts(place: int, bands: list[_Band | None], colours: list[Colour]) -> bool:
    """Whether another side bears the band out, or it is too plain to be anything but a border."""
    band = bands[place]
    assert band is not None
    others = [other for at, other in enumerate(bands) if at != place and other is not None]
    # Of two bands that bear each other out, one at least must end clearly.
    clear = [other.colour for other in others if max(other.straight, band.straight) >= ALONE]
    if any(np.abs(band.colour - colour).max() <= TOLERANCE for colour in clear + colours):
        return True
    return place != TOP and band.deviation <= PLAIN and band.straight >= ALONE


def _band(side_up: Pixels) -> _Band | None:
    """The band along the first rows of the picture, if it ends in a straight line."""
    half = len(side_up) // 2
    colour = np.median(side_up[:2], axis=(0, 1)).astype(np.int16)
    if (_distance(side_up[:1], colour) <= TOLERANCE).mean() < MIN_INSIDE:
        return None  # most pictures: the rest need not be looked at
    distance = _distance(side_up, colour)
    inside = distance <= TOLERANCE
    ending = inside.mean(axis=0) < MIN_INSIDE  # other columns are filled by bars of other sides
    quiet = _leading(inside.mean(axis=1) >= MIN_INSIDE)
    if quiet == 0 or not ending.any():
        return None
    first = max(quiet - 2, 0)
    near = distance[first : quiet + SPILL_PX + 2, ending]
    if len(near) < 3:
        return None
    crossing = (near[2:] - near[:-2] >= MIN_STEP).mean(axis=1)
    steepest = int(crossing.argmax())
    straight, depth = float(crossing[steepest]), first + steepest + 3
    if straight < BORNE_OUT or depth > half:
        return None
    return _Band(depth, colour, float(side_up[:quiet].std(axis=(0, 1)).max()), straight)


def _distance(pixels: Pixels, colour: Colour) -> NDArray[np.int16]:
    """(H, W): how far each pixel is from a colour, in the channel where it is farthest."""
    red, green, blue = np.moveaxis(np.abs(pixels.astype(np.int16) - colour), 2, 0)
    farthest: NDArray[np.int16] = np.maximum(np.maximum(red, green), blue)
    return farthest


def _leading(flags: NDArray[np.bool_]) -> int:
    """How many are true before the first that is not."""
    return len(flags) if flags.all() else int(flags.argmin())
