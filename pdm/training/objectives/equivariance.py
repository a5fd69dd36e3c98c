"""Equivariance of the latents to scaling (EQ-VAE, arXiv:2502.09509).

The downscaled latents of a picture must decode to the downscaled picture. Otherwise an autoencoder
may encode the same thing differently at every size, and a diffusion model has to learn each. EQ-VAE
also rotates the pictures; we only scale them, since our pictures are upright.

Every level of a pyramid that is a map is scaled by average pooling; the global level stays as it
is. So the scaled pyramid has all levels of a smaller picture, which the decoder must decode anyway.
The factors are whole numbers (EQ-VAE draws from 1/4 to 1), so that the coarsest level keeps whole
pixels.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from pdm.models.levels.pyramid import Downsampling, Pyramid

FACTORS = (2, 4)


def factors_that_fit(
    size: tuple[int, int], downsamplings: Sequence[Downsampling]
) -> tuple[int, ...]:
    """List the factors by which pictures of (H, W) pixels can be downscaled at every level."""
    coarsest = max((factor for factor in downsamplings if factor != "global"), default=1)
    return tuple(
        factor for factor in FACTORS if all(side % (factor * coarsest) == 0 for side in size)
    )


def downscale_images(images: Tensor, factor: int) -> Tensor:
    """Average-pool (B, C, H, W) to (B, C, H / factor, W / factor)."""
    return F.avg_pool2d(images, factor)


def downscale_latents(
    pyramid: Pyramid, downsamplings: Sequence[Downsampling], factor: int
) -> Pyramid:
    """Downscale the maps of a pyramid; its global level stays as it is."""
    return tuple(
        level if downsampling == "global" else F.avg_pool2d(level, factor)
        for level, downsampling in zip(pyramid, downsamplings, strict=True)
    )
