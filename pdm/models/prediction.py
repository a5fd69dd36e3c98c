"""Linear predictions of a level from the coarser ones, so that latents hold only what is new.

A cell is one place of the next coarser level, together with the values of the finer level that lie
within it. Those are predicted from the 3x3 cells around the place in the next coarser level, and
from the one cell of each level above that holds it.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from pdm.models.pyramid import Pyramid


def neighbourhoods(coarser: Sequence[Tensor]) -> Tensor:
    """Give (cells, F): what each cell of the last of these levels is predicted from.

    The values of the levels above come first, coarse to fine; then those of the 3x3 cells, channel
    by channel. A level of a single cell has no neighbours, and gives its own values alone.
    """
    last = coarser[-1]
    size = last.shape[2:]
    maps = [_repeat(level, size) for level in coarser[:-1]]
    if size == (1, 1):
        maps.append(last)
    else:
        patches = F.unfold(F.pad(last, (1, 1, 1, 1), mode="replicate"), 3)
        maps.append(patches.reshape(len(last), -1, *size))
    return torch.cat(maps, dim=1).movedim(1, 3).flatten(0, 2)


def num_inputs(channels: Sequence[int]) -> int:
    """Count the inputs F of a prediction from levels with these channels, coarse to fine."""
    return sum(channels[:-1]) + 9 * channels[-1]


def cells_of(level: Tensor, coarser: Tensor) -> Tensor:
    """Give (cells, T): the values of a level within each cell of the next coarser one."""
    rows, columns = coarser.shape[2:]
    count, channels, height, width = level.shape
    cells = level.reshape(count, channels, rows, height // rows, columns, width // columns)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)


def predict_level(coarser: Pyramid, weights: Tensor, channels: int) -> Tensor:
    """Predict a level (B, channels, h, w) from all coarser ones.

    Equals `neighbourhoods(coarser) @ weights`, put in place, at a fraction of the memory.

    Args:
        coarser: All coarser levels, at least two, so that the last one is a map.
        weights: (F, channels * r * r), where r is the ratio of the sides of the two finest levels.
        channels: Of the predicted level.
    """
    last = coarser[-1]
    rows, columns = last.shape[2:]
    ends = list(accumulate((level.shape[1] for level in coarser[:-1]), initial=0))
    around = weights[ends[-1] :].T.reshape(-1, last.shape[1], 3, 3)
    cells = F.conv2d(F.pad(last, (1, 1, 1, 1), mode="replicate"), around)
    for level, start, end in zip(coarser[:-1], ends, ends[1:], strict=False):
        share = F.conv2d(level, weights[start:end].T[:, :, None, None])
        cells = cells + _repeat(share, (rows, columns))
    return F.pixel_shuffle(cells, math.isqrt(cells.shape[1] // channels))


def _repeat(level: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(level, size=tuple(size), mode="nearest")
