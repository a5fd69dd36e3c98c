"""Sets of pictures to be scored, all of one size, read one batch at a time.

A picture here is a uint8 array (H, W, 3). A set knows how many it holds and how to load the i-th,
so that it may lie in files, in shards or in memory, and a score never needs more than a batch.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pdm.data.decoding import turbo

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSet:
    """Pictures of one size, in a fixed order."""

    name: str  # "samples", "val" or "train"; used in messages and plots
    keys: Sequence[str]  # one for each picture: a file name or a shard's key
    load: Callable[[int], Picture]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        height, width = self.load(0).shape[:2]
        return height, width

    def batches(self, batch_size: int) -> Iterator[Picture]:
        """All pictures in order, as (B, H, W, 3) with B = `batch_size` but for the last."""
        for start in range(0, len(self), batch_size):
            stop = min(start + batch_size, len(self))
            yield np.stack([self.load(index) for index in range(start, stop)])


def to_tensor(pictures: Picture) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in [-1, 1]."""
    return torch.tensor(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_picture(images: Tensor) -> Picture:
    """The only picture of `images` (1, 3, H, W) in [-1, 1] as uint8 (H, W, 3)."""
    values = (images[0].permute(1, 2, 0) + 1) * 127.5
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def decoded(content: bytes) -> Picture:
    """A file's pixels as Pillow gives them in RGB, sooner for a JPEG.

    Raises:
        OSError, ValueError, SyntaxError: The bytes are no picture, or a damaged one.
    """
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "RGB" and turbo.can_decode(image, content):
            return turbo.decode(content, image.size, 1)
        return np.array(image.convert("RGB"))
