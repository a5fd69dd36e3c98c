"""Linear predictions of a level from the coarser ones, so that latents hold only what is new.

A cell is one place of the next coarser level, together with the values of the finer level that lie
within it. Those are predicted from the 3x3 cells around the place in the next coarser level, and
from the one cell of each level above that holds it. The second level, whose coarser one has no
places, is predicted place by place from the global level, by weights that vary over the image
like half a cosine wave in each direction, or not at all.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from pdm.models.levels.pyramid import Pyramid
from pdm.models.levels.waves import lowest_cosines

PATTERNS = 4  # constant or half a wave, in each of the two directions


def num_inputs(channels: Sequence[int]) -> int:
    """Count the inputs F of a prediction from levels with these channels, coarse to fine."""
    if len(channels) == 1:
        return PATTERNS * channels[0]
    return sum(channels[:-1]) + 9 * channels[-1]


def regression_inputs(coarser: Sequence[Tensor], level: Tensor) -> Tensor:
    """Return (cells, F): what the values of `regression_targets` are predicted from.

    Args:
        coarser: All levels that are coarser than `level`, coarse to fine.
        level: The predicted level; only its size counts.
    """
    last = coarser[-1]
    if len(coarser) == 1:
        varied = torch.einsum("bc,khw->bckhw", last[:, :, 0, 0], _patterns(level))
        return varied.flatten(1, 2).movedim(1, 3).flatten(0, 2)
    size = last.shape[2:]
    maps = [_repeat(each, size) for each in coarser[:-1]]
    patches = F.unfold(F.pad(last, (1, 1, 1, 1), mode="replicate"), 3)
    maps.append(patches.reshape(len(last), -1, *size))
    return torch.cat(maps, dim=1).movedim(1, 3).flatten(0, 2)


def regression_targets(coarser: Sequence[Tensor], level: Tensor) -> Tensor:
    """Return (cells, T): the values of a level within each cell; arguments as above."""
    rows, columns = level.shape[2:] if len(coarser) == 1 else coarser[-1].shape[2:]
    count, channels, height, width = level.shape
    cells = level.reshape(count, channels, rows, height // rows, columns, width // columns)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)


def predict_level(
    coarser: Pyramid, weights: Tensor, channels: int, size: tuple[int, int]
) -> Tensor:
    """Predict a level (B, channels, *size) from all coarser ones.

    Equals `regression_inputs @ weights`, put in place, at a fraction of the memory.

    Args:
        coarser: All coarser levels, coarse to fine, at least the global one.
        weights: (F, T), where T is `channels`, times the places of the level within a cell.
        channels: Of the predicted level.
        size: (h, w) of the predicted level.
    """
    last = coarser[-1]
    if len(coarser) == 1:
        mixed = last[:, :, 0, 0] @ weights.reshape(last.shape[1], -1)
        patterns = _patterns(last.expand(-1, -1, *size))
        return torch.einsum("bkc,khw->bchw", mixed.reshape(len(mixed), PATTERNS, -1), patterns)
    ends = list(accumulate((level.shape[1] for level in coarser[:-1]), initial=0))
    around = weights[ends[-1] :].T.reshape(-1, last.shape[1], 3, 3)
    cells = F.conv2d(F.pad(last, (1, 1, 1, 1), mode="replicate"), around)
    for level, start, end in zip(coarser[:-1], ends, ends[1:], strict=False):
        share = F.conv2d(level, weights[start:end].T[:, :, None, None])
        cells = cells + _repeat(share, last.shape[2:])
    return F.pixel_shuffle(cells, math.isqrt(cells.shape[1] // channels))


def _patterns(level: Tensor) -> Tensor:
    """(PATTERNS, h, w) over the places of a level."""
    rows, columns = (lowest_cosines(side, level) for side in level.shape[2:])
    return torch.einsum("ih,jw->ijhw", rows, columns).flatten(0, 1)


def _repeat(level: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(level, size=tuple(size), mode="nearest")
