"""Levels that add to each other: what a coarser grid could hold is taken out of a finer level.

Left free, a finer level repeats the coarser ones: nearly all of its variance is their content, with
its own detail as a ripple on top, which the noise of a diffusion model hides until the very end.
"""

from torch import Tensor
from torch.nn import functional as F

from pdm.models.levels.pyramid import Pyramid


def remove_coarse_content(pyramid: Pyramid) -> Pyramid:
    """Subtract from each level its own means over the cells of the next coarser level's grid.

    The first two levels stay as they are: the global one, and the coarsest map. The mean of that
    map over the image could be left to the global level, but then the network would know maps of
    mean zero only, and what it makes of a part would depend on the size of the whole. The result is
    an orthogonal projection: applied again, it changes nothing.

    Args:
        pyramid: Any prefix of the levels, each (B, C, h, w), coarse to fine.
    """
    finer = zip(pyramid[2:], pyramid[1:], strict=False)
    return (*pyramid[:2], *(level - _cell_means(level, coarser) for level, coarser in finer))


def _cell_means(level: Tensor, coarser: Tensor) -> Tensor:
    """Means over the cells of the coarser grid, at the level's own size."""
    cell = tuple(
        side // cells for side, cells in zip(level.shape[2:], coarser.shape[2:], strict=True)
    )
    means = F.avg_pool2d(level, cell)
    return F.interpolate(means, size=level.shape[2:], mode="nearest")
