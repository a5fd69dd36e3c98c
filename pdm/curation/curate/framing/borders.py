"""Finds plain borders: letterbox and pillarbox bars, frames, mats and paper margins.

A border is a band of one colour along a side, except for JPEG noise, that ends in a straight sharp
line. A night sky, snow, fog or a dark sea has no such line: it ends at an uneven skyline or fades.
A band at the top alone always counts as sky. Borders are found in a reduced copy, to about one of
its pixels. It is better to trim too much than too little, so that no line of a border remains. The
limits were chosen on bordered copies of photographs: `docs/decisions/framing.md`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

TOLERANCE = 10  # grey levels, in any channel: JPEG noise and paper grain in the reduced copy
MIN_INSIDE = 0.97  # share of a border's row within the tolerance; the rest is dust and noise
SPILL_PX = 8  # JPEG spreads colour across the line by a block of 16 pixels of the full picture
MIN_STEP = 12  # grey levels over two rows, where a column leaves the border
# Least share of the columns in which the border must end at the line. If another side has a border
# of the same colour, less is enough: part of the picture may have that colour too.
MIN_STRAIGHT_ALONE, MIN_STRAIGHT_CONFIRMED = 0.4, 0.15
PLAIN = 1.0  # largest standard deviation of a band that needs no second one on another side
MAX_PASSES = 3  # frames are nested: a mat in a frame, letterbox bars on paper
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
TOP = 1  # index among the sides: left, top, right, bottom


def find_borders(pixels: Pixels) -> Margins:
    """Find the borders of a picture (H, W, 3).

    A plain picture, which would be all border, has none; other rules drop it.
    """
    margins, colours = NO_MARGINS, list[Colour]()
    for _ in range(MAX_PASSES):
        inner = trim(pixels, margins)
        if min(inner.shape[:2]) < MIN_SIDE_PX:
            break
        outer = _outer_frame(inner, colours)
        if outer == NO_MARGINS:
            break
        margins += outer
    return margins


def trim(pixels: Pixels, margins: Margins) -> Pixels:
    """The picture without its margins."""
    height, width = pixels.shape[:2]
    return pixels[margins.top : height - margins.bottom, margins.left : width - margins.right]


def _outer_frame(pixels: Pixels, colours: list[Colour]) -> Margins:
    """The margins of the outermost frame. Appends its colours to those of earlier passes."""
    left, top = np.swapaxes(pixels, 0, 1), pixels
    bands = [_find_band(side) for side in (left, top, left[::-1], top[::-1])]
    borders = [
        band if band and _is_border(side, bands, colours) else None
        for side, band in enumerate(bands)
    ]
    colours += [band.colour for band in borders if band]
    return Margins(*(band.depth if band else 0 for band in borders))


def _is_border(side: int, bands: list[_Band | None], colours: list[Colour]) -> bool:
    """Whether another side's band confirms the band, or it is too plain to be anything else."""
    band = bands[side]
    assert band is not None
    others = [other for at, other in enumerate(bands) if at != side and other is not None]
    # Of two bands that confirm each other, at least one must end clearly.
    clear = [o.colour for o in others if max(o.straight, band.straight) >= MIN_STRAIGHT_ALONE]
    if any(np.abs(band.colour - colour).max() <= TOLERANCE for colour in clear + colours):
        return True
    return side != TOP and band.deviation <= PLAIN and band.straight >= MIN_STRAIGHT_ALONE


def _find_band(side_up: Pixels) -> _Band | None:
    """The band in the first rows of the picture, if it ends in a straight line."""
    half = len(side_up) // 2
    colour = np.median(side_up[:2], axis=(0, 1)).astype(np.int16)
    if (_distance(side_up[:1], colour) <= TOLERANCE).mean() < MIN_INSIDE:
        return None  # most pictures end here
    distance = _distance(side_up, colour)
    inside = distance <= TOLERANCE
    ending = inside.mean(axis=0) < MIN_INSIDE  # other columns are filled by bars of other sides
    num_plain = _count_leading(inside.mean(axis=1) >= MIN_INSIDE)
    if num_plain == 0 or not ending.any():
        return None
    first = max(num_plain - 2, 0)
    near = distance[first : num_plain + SPILL_PX + 2, ending]
    if len(near) < 3:
        return None
    crossing = (near[2:] - near[:-2] >= MIN_STEP).mean(axis=1)
    steepest = int(crossing.argmax())
    straight, depth = float(crossing[steepest]), first + steepest + 3
    if straight < MIN_STRAIGHT_CONFIRMED or depth > half:
        return None
    return _Band(depth, colour, float(side_up[:num_plain].std(axis=(0, 1)).max()), straight)


def _distance(pixels: Pixels, colour: Colour) -> NDArray[np.int16]:
    """(H, W): each pixel's distance from a colour, the largest of the three channels."""
    red, green, blue = np.moveaxis(np.abs(pixels.astype(np.int16) - colour), 2, 0)
    farthest: NDArray[np.int16] = np.maximum(np.maximum(red, green), blue)
    return farthest


def _count_leading(flags: NDArray[np.bool_]) -> int:
    """Number of true values before the first false one."""
    return len(flags) if flags.all() else int(flags.argmin())
