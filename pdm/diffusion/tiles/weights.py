"""Weights of tiles where they overlap: uniform or Gaussian, summing to 1 in every covered cell.

Both are products of a weight along the rows and one along the columns, and tiles form a grid. So
the sum over all tiles is a product, too, and each axis is normalised by itself.
"""

import torch
from torch import Tensor

from pdm.config.sampling.tiling import TilingConfig
from pdm.diffusion.tiles.layout import AxisTiles

VARIANCE = 0.01  # of the Gaussian, in units of the tile's squared side (Mixture of Diffusers)
GAUSSIAN_MODES = ("fstd", "mixture")


def axis_weights(config: TilingConfig, axis: AxisTiles, *, is_rows: bool) -> list[Tensor]:
    """Return the weights of each tile along one axis: (tile,) each, in float64.

    Over all tiles they sum to 1 wherever there is one; alone, a tile has exactly 1.

    Args:
        config: How to tile.
        axis: Tiles along the axis.
        is_rows: Whether the axis runs over the rows of the image.
    """
    profile = torch.ones(axis.tile_side, dtype=torch.float64)
    if config.mode in GAUSSIAN_MODES:
        profile = gaussian(axis.tile_side, _middle(axis.tile_side, config.symmetric or not is_rows))
    total = torch.zeros(axis.map_side, dtype=torch.float64)
    for start in axis.starts:
        total[start : start + axis.tile_side] += profile
    return [profile / total[start : start + axis.tile_side] for start in axis.starts]


def gaussian(side: int, middle: float) -> Tensor:
    """Return a Gaussian over the cells 0 to side - 1, (side,) in float64; 1 at its middle."""
    distances = (torch.arange(side, dtype=torch.float64) - middle) / side
    return (-distances.square() / (2 * VARIANCE)).exp()


def covered(axis: AxisTiles) -> Tensor:
    """Return (side,): whether a tile lies over each cell."""
    cells = torch.zeros(axis.map_side, dtype=torch.bool)
    for start in axis.starts:
        cells[start : start + axis.tile_side] = True
    return cells


def _middle(side: int, symmetric: bool) -> float:
    """Return the middle of a tile's cells, or half a cell below it.

    The official code of Mixture of Diffusers, StableSR and Any-Size-Diffusion has the latter along
    the rows. It may be more than an oversight: users report that exactly symmetric weights can lock
    tiles into a collage.
    """
    return (side - 1) / 2 if symmetric else side / 2
