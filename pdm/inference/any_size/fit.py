"""Cuts, reduces and extends images, whole ones and bands of rows."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from pdm.data.pixels import Pixels
from pdm.inference.any_size.rectangles import Rectangle, Size


def fit(picture: Pixels, area: Rectangle, size: Size) -> Pixels:
    """Cut an area out of an image and reduce it.

    Args:
        picture: uint8 (H, W, 3).
        area: May end beyond the image, which then goes on as its mirror image.
        size: Of the result, with the area's shape; not larger than it.
    """
    scale = size[1] / area.width
    bottom = min(area.top + area.height, picture.shape[0])
    right = min(area.left + area.width, picture.shape[1])
    height = min(size[0], max(1, round((bottom - area.top) * scale)))
    width = min(size[1], max(1, round((right - area.left) * scale)))
    if scale == 1:
        top, left = int(area.top), int(area.left)
        found = picture[top : top + height, left : left + width]
    else:
        corners = (area.left, area.top, right, bottom)
        reduced = Image.fromarray(picture).resize(
            (width, height), Image.Resampling.LANCZOS, box=corners
        )
        found = np.asarray(reduced)
    margins = [(0, size[0] - height), (0, size[1] - width), (0, 0)]
    return np.ascontiguousarray(np.pad(found, margins, "symmetric"))


def cut_bands(bands: Iterable[Pixels], area: Rectangle) -> Iterator[Pixels]:
    """Cut an area at whole pixels out of an image that comes in bands."""
    top, left, height, width = (
        int(each) for each in (area.top, area.left, area.height, area.width)
    )
    row = 0
    for band in bands:
        first, last = max(top - row, 0), min(top + height - row, len(band))
        if first < last:
            yield band[first:last, left : left + width]
        row += len(band)
