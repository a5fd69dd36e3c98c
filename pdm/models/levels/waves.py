"""The two lowest cosines of a side, which tell places of a map apart."""

import math

import torch
from torch import Tensor


def lowest_cosines(side: int, like: Tensor) -> Tensor:
    """Return (2, side): a constant 1, and half a cosine wave from nearly 1 to nearly -1.

    Args:
        side: Number of cells.
        like: A tensor of the dtype and device to use.
    """
    centres = (torch.arange(side, dtype=like.dtype, device=like.device) + 0.5) / side
    return torch.stack([torch.ones_like(centres), torch.cos(math.pi * centres)])
