"""Equivariance of the latents to scaling (EQ-VAE, arXiv:2502.09509).

The latents of a picture, scaled down, must decode to the picture scaled down as much. Without that
an autoencoder may code the same thing differently at every size, and a diffusion model has to learn
each. EQ-VAE also turns the pictures; ours have an upright, so they are scaled only.

Of a pyramid, every level that is a map is scaled as the picture is, each by the mean over the same
part of the picture; the global level, which has no place and no size, stays. So the scaled pyramid
has all levels of a smaller picture, and the decoder sees one that it must decode anyway. The
factors are whole (EQ-VAE draws from 1/4 to 1), since the coarsest level must keep whole cells.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from pdm.models.pyramid import Downsampling, Pyramid

FACTORS = (2, 4)


def factors_that_fit(
    size: tuple[int, int], downsamplings: Sequence[Downsampling]
) -> tuple[int, ...]:
    """By which factors pictures of (H, W) pixels can be shrunk, so that every level fits."""
    coarsest = max((factor for factor in downsamplings if factor != "global"), default=1)
    return tuple(
        factor for factor in FACTORS if all(side % (factor * coarsest) == 0 for side in size)
    )


def downscale_images(images: Tensor, factor: int) -> Tensor:
    """(B, C, H, W) to (B, C, H / factor, W / factor), each pixel the mean of those it covers."""
    return F.avg_pool2d(images, factor)


def downscale_latents(
    pyramid: Pyramid, downsamplings: Sequence[Downsampling], factor: int
) -> Pyramid:
    """The pyramid with its maps scaled down, and its global level as it is."""
    return tuple(
        level if downsampling == "global" else F.avg_pool2d(level, factor)
        for level, downsampling in zip(pyramid, downsamplings, strict=True)
    )
