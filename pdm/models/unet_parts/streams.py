"""Optional parts of the pyramid UNet, each with a setting of its own.

Input and output streams (NCSN++, Song et al., arXiv:2011.13456: "input skip" and "output skip"),
resampling by a small binomial filter, dropout that falls during training, and the pyramid without
branches, for comparison.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.unet import Resampling
from pdm.models.layers.basic import average_pool, upsample_nearest, zero_init
from pdm.models.levels.pyramid import Pyramid


def downsample(features: Tensor, how: Resampling) -> Tensor:
    """Halve both sides: by means of 2x2 pixels, or by a binomial filter of 4x4."""
    if how == "box":
        return average_pool(features)
    count = features.shape[1]
    return F.conv2d(features, _kernel(features).expand(count, 1, 4, 4), None, 2, 1, 1, count)


def upsample(features: Tensor, how: Resampling) -> Tensor:
    """Double both sides: by repeating pixels, or by a binomial filter."""
    if how == "box":
        return upsample_nearest(features)
    count = features.shape[1]
    kernel = 4 * _kernel(features).expand(count, 1, 4, 4)
    return F.conv_transpose2d(features, kernel, None, 2, 1, 0, count)


class InputStream(nn.Module):
    """Input skip: the finer levels, averaged to this resolution, are added to the way down.

    Its convolution starts at zero.
    """

    def __init__(self, finer_channels: int, width: int) -> None:
        super().__init__()
        self.conv = zero_init(nn.Conv2d(finer_channels, width, 1))

    def forward(self, features: Tensor, finer: list[Tensor]) -> Tensor:
        """Add the finer levels, whose sides are multiples, to features (B, width, h, w)."""
        averages = [average_to(level, features) for level in finer]
        joined: Tensor = features + self.conv(torch.cat(averages, dim=1))
        return joined


class OutputStream(nn.Module):
    """Output skip: the coarser level's velocity is added to the finer one's. Starts at zero."""

    def __init__(self, coarser_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = zero_init(nn.Conv2d(coarser_channels, channels, 1))

    def forward(self, velocity: Tensor, coarser: Tensor) -> Tensor:
        """Add (B, coarser_channels, h / n, w / n), upsampled, to (B, channels, h, w)."""
        carried = F.interpolate(self.conv(coarser), velocity.shape[2:], mode="nearest")
        return velocity + carried


class FallingDropout(nn.Module):
    """Dropout whose rate falls linearly: it is multiplied by the fraction of training left."""

    left: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("left", torch.ones(()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Drop single values; any shape to the same shape."""
        if not self.training or self.rate == 0:
            return features
        rate = self.rate * self.left
        # In float32: bfloat16 draws multiples of 1/256, far too coarse once the rate has fallen.
        mask = torch.rand_like(features, dtype=torch.float32) >= rate
        return features * mask / (1 - rate)


def merge_levels(pyramid: Pyramid) -> Tensor:
    """Stack all levels in one map at the finest resolution: a pyramid without branches."""
    size = pyramid[-1].shape[2:]
    return torch.cat([F.interpolate(level, size, mode="nearest") for level in pyramid], dim=1)


def split_levels(one: Tensor, pyramid: Pyramid) -> Pyramid:
    """Undo `merge_levels`: each level's channels, averaged down to its resolution."""
    parts = torch.split(one, [level.shape[1] for level in pyramid], dim=1)
    return tuple(average_to(part, level) for part, level in zip(parts, pyramid, strict=True))


def average_to(fine: Tensor, coarse: Tensor) -> Tensor:
    """Average a map down to the height and width of another."""
    return F.adaptive_avg_pool2d(fine, (coarse.shape[2], coarse.shape[3]))


def _kernel(features: Tensor) -> Tensor:
    """NCSN++'s kernel, 1 3 3 1 in both directions; made on the device, so that none waits."""
    places = torch.arange(4, dtype=features.dtype, device=features.device) - 1.5
    row = (4 - 2 * places.abs()) / 8
    return torch.outer(row, row)
