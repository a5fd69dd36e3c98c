"""Contact sheets: rows of pictures of one size on one ground, for people to look at."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pdm.data.shards.images import Pixels

GROUND = (24, 24, 27)  # nearly black, so that bright and dark pictures both stand out
MARGIN_PX = 6
SMALL_PX = 256  # pictures narrower than this are enlarged, or a person sees nothing


def contact_sheet(rows: Sequence[Sequence[Pixels]]) -> Image.Image:
    """Rows of uint8 (H, W, 3) pictures, all of one size, with margins between them."""
    height, width, _ = rows[0][0].shape
    scale = max(1, SMALL_PX // width)
    columns = max(len(row) for row in rows)
    step_x, step_y = scale * width + MARGIN_PX, scale * height + MARGIN_PX
    size = (columns * step_x + MARGIN_PX, len(rows) * step_y + MARGIN_PX)
    sheet = Image.new("RGB", size, GROUND)
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            picture = Image.fromarray(np.ascontiguousarray(pixels))
            picture = picture.resize((scale * width, scale * height), Image.Resampling.BICUBIC)
            sheet.paste(picture, (MARGIN_PX + x * step_x, MARGIN_PX + y * step_y))
    return sheet


def in_rows(pictures: Sequence[Pixels]) -> list[Sequence[Pixels]]:
    """Cut a sequence of pictures into rows, for a sheet half as wide again as it is high.

    Of the numbers of columns near to that, the one that leaves the fewest places empty is taken.
    """
    height, width, _ = pictures[0].shape
    ideal = math.sqrt(1.5 * len(pictures) * height / width)
    near = range(max(1, math.ceil(0.75 * ideal)), max(1, math.floor(1.34 * ideal)) + 1)
    columns = min(near, key=lambda count: (-len(pictures) % count, abs(count - ideal)))
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
