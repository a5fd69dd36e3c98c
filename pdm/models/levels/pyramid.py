"""The pyramid of latents: one image as several latents, coarse to fine.

A `Pyramid` is a tuple of tensors ((B, C0, 1, 1), (B, C1, h1, w1), ...). Its first level is global,
one vector for the whole image; each further level is a map at `image side / downsampling`.
A prefix of a pyramid (its coarsest levels) is a pyramid too.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

Pyramid = tuple[Tensor, ...]
Downsampling = int | Literal["global"]
LevelShape = tuple[int, int, int]  # (channels, height, width)


def level_shapes(
    channels: Sequence[int], downsamplings: Sequence[Downsampling], height: int, width: int
) -> tuple[LevelShape, ...]:
    """Return the shape (C, h, w) of every level for images of this size in pixels.

    Raises:
        ValueError: A side is not a multiple of a downsampling.
    """
    sides = [
        (1, 1) if factor == "global" else (_divide(height, factor), _divide(width, factor))
        for factor in downsamplings
    ]
    return tuple((count, *side) for count, side in zip(channels, sides, strict=True))


def _divide(side: int, factor: int) -> int:
    if side % factor:
        raise ValueError(f"image side {side} is not a multiple of the downsampling {factor}")
    return side // factor
