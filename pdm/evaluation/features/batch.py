"""Batches of pictures, small enough that their float32 tensors take at most 50 MB."""

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.evaluation.features.laplacian import laplacian_pyramid

MAX_PIXELS = 2**22  # one picture of 2048x2048, or 16 of 512x512

Numbers = NDArray[np.int64]  # indices of pictures within their set


class Batch:
    """Some pictures of a set, with data shared by several feature spaces.

    Args:
        pictures: uint8 (B, H, W, 3).
        numbers: Their indices within the set, (B,).
        device: Where their pyramids are computed.
    """

    def __init__(
        self, pictures: Pixels, numbers: Numbers, device: torch.device | None = None
    ) -> None:
        self.pictures, self.numbers, self.device = pictures, numbers, device

    def __len__(self) -> int:
        return len(self.pictures)

    def select(self, places: Numbers) -> "Batch":
        """Select the pictures at some places of the batch."""
        return Batch(self.pictures[places], self.numbers[places], self.device)

    @cached_property
    def levels(self) -> tuple[Tensor, ...]:
        """The levels of their Laplacian pyramids, fine to coarse, each (B, 3, h, w)."""
        # One by one, because the order of a convolution's sums may depend on the batch size.
        images = (to_images(picture[None], self.device) for picture in self.pictures)
        pyramids = [laplacian_pyramid(image) for image in images]
        return tuple(torch.cat(level) for level in zip(*pyramids, strict=True))


def pictures_at_once(batch_size: int, size: tuple[int, ...]) -> int:
    """Number of pictures of (height, width, ...) in a batch: `batch_size`, limited by
    `MAX_PIXELS`."""
    return min(batch_size, max(1, MAX_PIXELS // math.prod(size[:2])))


def split_pictures(pictures: Pixels) -> Iterator[Pixels]:
    """Split pictures (B, H, W, 3) into parts within the limit of a batch."""
    count = pictures_at_once(len(pictures), pictures.shape[1:])
    for start in range(0, len(pictures), count):
        yield pictures[start : start + count]
