"""Laplacian pyramid: a picture split into bands of detail, each half the size of the previous
one."""

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SIDE_PX = 16  # least side of the coarsest level, as in Karras et al., arXiv:1710.10196


def laplacian_pyramid(images: Tensor) -> tuple[Tensor, ...]:
    """Compute the levels of `images` (B, C, H, W), fine to coarse; the last is the remaining small
    picture.

    A level is the detail lost by halving the picture: added to the enlarged next level, it restores
    the picture.
    """
    levels = []
    while min(images.shape[-2:]) >= 2 * MIN_SIDE_PX:
        smaller = halve(images)
        levels.append(images - enlarge(smaller, images.shape[-2:]))
        images = smaller
    return (*levels, images)


def halve(images: Tensor) -> Tensor:
    """Halve the size. The filter 1 3 3 1 is centred on the new pixel, so nothing shifts."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=images.dtype, device=images.device) / 8
    channels = images.shape[1]
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, stride=2, groups=channels)


def enlarge(images: Tensor, size: torch.Size) -> Tensor:
    """Enlarge images to `size` (H, W), bilinearly; a constant picture stays constant."""
    return F.interpolate(images, size=tuple(size), mode="bilinear", align_corners=False)
