"""Contact sheets: a grid of images, for people to look at."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pdm.data.pixels import Pixels

BACKGROUND = (24, 24, 27)  # nearly black, so that bright and dark images both stand out
MARGIN_PX = 6
SMALL_PX = 256  # narrower images are enlarged, to be seen at all


def contact_sheet(rows: Sequence[Sequence[Pixels]]) -> Image.Image:
    """A sheet of rows of uint8 (H, W, 3) images with margins between them. Its cells have the size
    of the largest."""
    height, width = (max(image.shape[axis] for row in rows for image in row) for axis in (0, 1))
    scale = max(1, SMALL_PX // width)
    columns = max(len(row) for row in rows)
    step_x, step_y = scale * width + MARGIN_PX, scale * height + MARGIN_PX
    size = (columns * step_x + MARGIN_PX, len(rows) * step_y + MARGIN_PX)
    sheet = Image.new("RGB", size, BACKGROUND)
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            picture = Image.fromarray(np.ascontiguousarray(pixels))
            enlarged = (scale * picture.width, scale * picture.height)
            picture = picture.resize(enlarged, Image.Resampling.BICUBIC)
            sheet.paste(picture, (MARGIN_PX + x * step_x, MARGIN_PX + y * step_y))
    return sheet


def reduce_picture(pixels: Pixels, side_px: int) -> Pixels:
    """Scale a picture (H, W, 3) down so that no side is longer than `side_px`; smaller ones stay as
    they are."""
    if max(pixels.shape[:2]) <= side_px:
        return pixels
    small = Image.fromarray(pixels)
    small.thumbnail((side_px, side_px))
    return np.asarray(small)


def split_into_rows(pictures: Sequence[Pixels]) -> list[Sequence[Pixels]]:
    """Split images into rows for a sheet of about 3:2.

    Of the numbers of columns that come near this shape, the one that leaves the fewest cells of the
    last row empty is used.
    """
    height, width, _ = pictures[0].shape
    ideal = math.sqrt(1.5 * len(pictures) * height / width)
    candidates = range(max(1, math.ceil(0.75 * ideal)), max(1, math.floor(1.34 * ideal)) + 1)
    columns = min(candidates, key=lambda count: (-len(pictures) % count, abs(count - ideal)))
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
