"""Places the crop: the largest box of the right shape, where most of the content is."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pdm.data.decoding.pixels import Box
from pdm.data.pixels import Pixels

SMALL_PX = 256  # longer side of the copy in which content is searched
NOISE = 4.0  # grey levels between neighbours of the small copy; less is sky, grain or JPEG
CENTRE_PULL = 0.1  # cost of the rim against the centre, as a share of all content
MIN_GROUND = 0.2  # share of the crop's height below the skyline
GROUND_PULL = 5.0  # cost of missing ground: a tenth of the crop's height costs half of all content
# A skyline divides the rows into two tones. The best division of an even gradient explains 3/4 of
# the variance between rows, that of two plain halves all of it.
MIN_EXPLAINED = 0.85
MIN_TONE_STEP = 12.0  # grey levels between the two tones


def largest_size(width_px: int, height_px: int, aspect: tuple[int, int]) -> tuple[int, int]:
    """Width and height in whole pixels of the largest box of a shape that fits into a picture."""
    across, down = aspect
    if width_px * down >= height_px * across:
        return height_px * across // down, height_px
    return width_px, width_px * down // across


def nearest_size(
    sizes: Sequence[tuple[int, int]], width_px: int, height_px: int
) -> tuple[int, int]:
    """Width and height of the finished crop of a picture: those of the nearest shape.

    The nearest is that with the smallest |log ratio|. Fractions compare exactly, so every machine
    chooses the same; of two that are equally near, it is the first. Where borders leave nothing of
    a picture, a side of 0 counts as 1.
    """
    if len(sizes) == 1:
        return sizes[0]
    width_px, height_px = max(width_px, 1), max(height_px, 1)

    def distance(size: tuple[int, int]) -> Fraction:
        ratio = Fraction(width_px * size[1], height_px * size[0])
        return max(ratio, 1 / ratio)

    return min(sizes, key=distance)


def choose_crop(pixels: Pixels, size: tuple[int, int], aspect: tuple[int, int]) -> Box:
    """Place the largest box of the shape `aspect` (width, height) where most of the content is.

    The box can move along one axis only. Content is the gradient of a small grey copy, above a
    noise floor. The box with the most content wins, with a mild pull towards the centre. So a
    landscape loses empty sky, and an evenly filled picture is cropped in its middle. If there is a
    skyline, a fifth of the crop's height is placed below it, as far as the picture has that much
    ground: clouds have more detail than a calm sea, but a crop of the sky alone is not a landscape.
    The picture is not rotated.

    Args:
        pixels: (h, w, 3), upright; may be a reduced copy.
        size: Width and height of the full picture; the box is in its pixels.
        aspect: Of the finished crop.
    """
    width_px, height_px = size
    box_width, box_height = largest_size(width_px, height_px, aspect)
    small = Image.fromarray(pixels)
    small.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.BOX)
    content = _content(small)
    left = _best_start(content.sum(axis=0), box_width / width_px, None)
    top = _best_start(content.sum(axis=1), box_height / height_px, _skyline(small))
    return Box(
        round(left * (width_px - box_width)),
        round(top * (height_px - box_height)),
        box_width,
        box_height,
    )


def _content(small: Image.Image) -> NDArray[np.float64]:
    grey = np.asarray(small.convert("L"), dtype=np.float64)
    down, across = np.gradient(grey) if min(grey.shape) > 1 else (grey * 0, grey * 0)
    return np.maximum(np.hypot(down, across) - NOISE, 0)


def _skyline(small: Image.Image) -> float | None:
    """Where the rows change from one tone to another, as a share of the height; None if nowhere."""
    rows = np.asarray(small, dtype=np.float64).mean(axis=1)
    num_rows = len(rows)
    if num_rows < 2:
        return None
    above = np.cumsum(rows, axis=0)[:-1]
    counts = np.arange(1, num_rows)[:, None]
    steps = above / counts - (rows.sum(axis=0) - above) / (num_rows - counts)
    shares = counts[:, 0] * (num_rows - counts[:, 0]) / num_rows**2
    explained = shares * np.square(steps).sum(axis=1)
    best = int(explained.argmax())
    is_clear = explained[best] >= MIN_EXPLAINED * rows.var(axis=0).sum()
    if not is_clear or np.abs(steps[best]).max() < MIN_TONE_STEP:
        return None
    return (best + 1) / num_rows


def _best_start(profile: NDArray[np.float64], share: float, skyline: float | None) -> float:
    """The best position of a window over `share` of the axis: 0 at one end, 1 at the other.

    Args:
        profile: Content along the axis.
        share: Of the axis that the window covers.
        skyline: A share of the axis; `MIN_GROUND` of the window should be behind it.
    """
    starts = np.linspace(0, 1, 65)
    ends = np.concatenate([[0.0], np.cumsum(profile)]) / max(float(profile.sum()), 1e-12)
    positions = np.linspace(0, 1, len(ends))
    begin = starts * (1 - share)
    inside = np.interp(begin + share, positions, ends) - np.interp(begin, positions, ends)
    cost = CENTRE_PULL * (2 * starts - 1) ** 2
    if skyline is not None:
        ground = (begin + share - skyline) / share
        cost += GROUND_PULL * np.maximum(MIN_GROUND - ground, 0)
    score = np.round(inside - cost, 9)
    best = np.flatnonzero(score == score.max())
    return float(starts[best[np.argmin(np.abs(starts[best] - 0.5))]])
