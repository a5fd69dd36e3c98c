"""An image enlarged by a bicubic filter, computed where it is looked at."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pdm.data.pixels import Pixels

MARGIN = 4  # pixels of the small image around a part; the filter reaches 2


@dataclass(frozen=True, slots=True)
class EnlargedImage:
    """An image `factor` times as large as `small`, extended at the bottom and on the right.

    Args:
        small: uint8 (H, W, 3).
        factor: A whole number.
        size: (H, W) of the result, at least `factor` times that of `small`; what is more is the
            mirror image of the image.
    """

    small: Pixels
    factor: int
    size: tuple[int, int]

    def crop(self, top: int, left: int, height: int, width: int) -> Pixels:
        """Return a part, as uint8 (height, width, 3), at the cost of that part alone."""
        rows, columns = (
            self._span(start, length, axis)
            for axis, (start, length) in enumerate(((top, height), (left, width)))
        )
        part = self.small[_mirrored(*rows, self.small.shape[0])]
        part = part[:, _mirrored(*columns, self.small.shape[1])]
        large_size = part.shape[1] * self.factor, part.shape[0] * self.factor
        large = Image.fromarray(part).resize(large_size, Image.Resampling.BICUBIC)
        top, left = top - rows[0] * self.factor, left - columns[0] * self.factor
        return np.ascontiguousarray(np.asarray(large)[top : top + height, left : left + width])

    def _span(self, start: int, length: int, axis: int) -> tuple[int, int]:
        """Return the pixels of the small image that a part needs, with a margin."""
        end = -(-self.size[axis] // self.factor)
        first, last = start // self.factor, -(-(start + length) // self.factor)
        return max(first - MARGIN, 0), min(last + MARGIN, end)


def _mirrored(start: int, stop: int, side: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the pixels start to stop - 1 of an image that goes on as its mirror image."""
    places = np.arange(start, stop) % (2 * side)
    return np.minimum(places, 2 * side - 1 - places)
