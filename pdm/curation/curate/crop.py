"""Which part of a picture becomes the crop: the largest box of the right shape, on the content."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.pixels import Box, Pixels

SMALL_PX = 256  # longer side of the picture on which content is looked for
NOISE = 4.0  # grey levels between neighbours of the small picture; less is sky, grain or JPEG
CENTRE_PULL = 0.1  # what the rim costs against the centre, as a share of all content


def largest_size(width_px: int, height_px: int, aspect: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the largest box of a shape, to the pixel, that fits into a picture."""
    across, down = aspect
    if width_px * down >= height_px * across:
        return height_px * across // down, height_px
    return width_px, width_px * down // across


def choose_crop(pixels: Pixels, size: tuple[int, int], aspect: tuple[int, int]) -> Box:
    """Place the largest box of the shape `aspect` (width, height) where most of the content is.

    Only one axis is free. Content is the gradient of a small grey copy, above a noise floor; the
    box with the largest share of it wins, less a mild pull towards the centre. So a landscape loses
    empty sky, and a picture that is even all over is cropped in its middle.

    Args:
        pixels: (h, w, 3), upright; may be a reduced copy.
        size: Width and height of the full picture, in whose pixels the box is given.
        aspect: Of the finished crop.
    """
    width_px, height_px = size
    box_width, box_height = largest_size(width_px, height_px, aspect)
    content = _content(pixels)
    left = _best_start(content.sum(axis=0), box_width / width_px)
    top = _best_start(content.sum(axis=1), box_height / height_px)
    return Box(
        round(left * (width_px - box_width)),
        round(top * (height_px - box_height)),
        box_width,
        box_height,
    )


def _content(pixels: Pixels) -> NDArray[np.float64]:
    small = Image.fromarray(pixels)
    small.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.BOX)
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    down, across = np.gradient(grey) if min(grey.shape) > 1 else (grey * 0, grey * 0)
    return np.maximum(np.hypot(down, across) - NOISE, 0)


def _best_start(profile: NDArray[np.float64], share: float) -> float:
    """Where a window over `share` of the axis starts: 0 at one end, 0.5 centred, 1 at the other."""
    starts = np.linspace(0, 1, 65)
    ends = np.concatenate([[0.0], np.cumsum(profile)]) / max(float(profile.sum()), 1e-12)
    positions = np.linspace(0, 1, len(ends))
    begin = starts * (1 - share)
    inside = np.interp(begin + share, positions, ends) - np.interp(begin, positions, ends)
    score = np.round(inside - CENTRE_PULL * (2 * starts - 1) ** 2, 9)
    best = np.flatnonzero(score == score.max())
    return float(starts[best[np.argmin(np.abs(starts[best] - 0.5))]])
