"""The named ideas of the pyramid UNet that are no block of their own, each behind its switch.

Input and output streams (NCSN++, Song et al., arXiv:2011.13456: "input skip" and "output skip"),
resampling by a small binomial filter, dropout that falls with progress, and the pyramid without
branches, for comparison.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.diffusion import Resampling
from pdm.models.layers import average_pool, upsample_nearest, zero_init
from pdm.models.pyramid import Pyramid

BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # NCSN++'s kernel, in both directions


def downsample(features: Tensor, how: Resampling) -> Tensor:
    """Half both sides: means of 2x2, or with the pixels around weighed in."""
    if how == "box":
        return average_pool(features)
    count = features.shape[1]
    return F.conv2d(features, _kernel(features).expand(count, 1, 4, 4), None, 2, 1, 1, count)


def upsample(features: Tensor, how: Resampling) -> Tensor:
    """Twice both sides: pixels repeated, or blended with their neighbours."""
    if how == "box":
        return upsample_nearest(features)
    count = features.shape[1]
    kernel = 4 * _kernel(features).expand(count, 1, 4, 4)
    return F.conv_transpose2d(features, kernel, None, 2, 1, 0, count)


class InputStream(nn.Module):
    """What the finer levels show at this resolution: their means, joined to the way down.

    Starts at zero.
    """

    def __init__(self, finer_channels: int, width: int) -> None:
        super().__init__()
        self.conv = zero_init(nn.Conv2d(finer_channels, width, 1))

    def forward(self, features: Tensor, finer: list[Tensor]) -> Tensor:
        """Features (B, width, h, w) and the finer levels, of which each side is a multiple."""
        seen = [average_to(level, features) for level in finer]
        joined: Tensor = features + self.conv(torch.cat(seen, dim=1))
        return joined


class OutputStream(nn.Module):
    """The coarser level's velocity, carried on to the next finer one. Starts at zero."""

    def __init__(self, coarser_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = zero_init(nn.Conv2d(coarser_channels, channels, 1))

    def forward(self, velocity: Tensor, coarser: Tensor) -> Tensor:
        """(B, channels, h, w) and (B, coarser_channels, h / n, w / n)."""
        carried = F.interpolate(self.conv(coarser), velocity.shape[2:], mode="nearest")
        return velocity + carried


class FallingDropout(nn.Module):
    """Dropout whose rate is multiplied by what is left of the training."""

    left: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("left", torch.ones(()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Any shape to the same shape."""
        if not self.training or self.rate == 0:
            return features
        rate = self.rate * self.left
        kept = torch.rand_like(features) >= rate
        return features * kept / (1 - rate)


def merge_levels(pyramid: Pyramid) -> Tensor:
    """All levels as one map at the resolution of the finest: a pyramid without branches."""
    size = pyramid[-1].shape[2:]
    return torch.cat([F.interpolate(level, size, mode="nearest") for level in pyramid], dim=1)


def split_levels(one: Tensor, pyramid: Pyramid) -> Pyramid:
    """The way back: each level's channels, averaged down to its resolution."""
    parts = torch.split(one, [level.shape[1] for level in pyramid], dim=1)
    return tuple(average_to(part, level) for part, level in zip(parts, pyramid, strict=True))


def average_to(fine: Tensor, coarse: Tensor) -> Tensor:
    """A map averaged down to the height and width of another."""
    return F.adaptive_avg_pool2d(fine, (coarse.shape[2], coarse.shape[3]))


def _kernel(features: Tensor) -> Tensor:
    row = torch.tensor(BINOMIAL, dtype=features.dtype, device=features.device) / sum(BINOMIAL)
    return torch.outer(row, row)
