"""Sets of pictures to score, all of one size, read in small batches.

A picture is a uint8 array (H, W, 3). A set knows its length and how to load the i-th picture, which
may be in a file, in a shard or in memory.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pdm.data.decoding import turbo
from pdm.data.pixels import Pixels


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSet:
    """Pictures of one size, in a fixed order."""

    name: str  # "samples", "val" or "train"; used in messages and plots
    keys: Sequence[str]  # one for each picture: a file name or a shard's key
    load: Callable[[int], Pixels]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        height, width = self.load(0).shape[:2]
        return height, width

    def load_batch(self, numbers: Iterable[int]) -> Pixels:
        """Load the pictures of these numbers, (B, H, W, 3)."""
        return np.stack([self.load(number) for number in numbers])


def decode(content: bytes) -> Pixels:
    """Decode a file to RGB, with the same pixels as Pillow, but faster for JPEG.

    Raises:
        OSError, ValueError, SyntaxError: The bytes are not a picture, or are damaged.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "RGB" and turbo.can_decode(image, content):
            return turbo.decode(content, image.size, 1)
        return np.array(image.convert("RGB"))
