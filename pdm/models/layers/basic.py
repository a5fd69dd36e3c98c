"""What blocks are made of: norms, convolutions, initial values, resampling, residual sums.

Residual sums are divided by the square root of two, so that a sum of two streams of equal variance
keeps it (as in NCSN++, Song et al., arXiv:2011.13456).

The autoencoder's convolutions repeat the edge pixels around a map (`EDGES_REPEATED`), since it is
trained on small images and used on large ones: with zeros, the coarsest maps of a small image
would be mostly edge, and the middle of a large one would be unlike anything in training. The UNet
pads with zeros (`EDGES_ZERO`), from which it learns where in the image it is.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.layers.spectral_norm import with_spectral_norm

HALF_ROOT = math.sqrt(0.5)
HEAD_WIDTH = 64  # channels per head of an attention, at most

Norm = Literal["group", "pixel"]
Edges = Literal["replicate", "zeros"]
EDGES_REPEATED: Edges = "replicate"
EDGES_ZERO: Edges = "zeros"


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with groups of at least four channels and at most 32 groups."""
    most = max(1, min(channels // 4, 32))
    groups = max(count for count in range(1, most + 1) if channels % count == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


class PixelNorm(nn.Module):
    """Layer norm over the channels of each pixel, independent of the rest of the image.

    A stack of such norms and convolutions does the same to a part of an image as to the whole, so
    it can work tile by tile (the decoder of DC-AE, arXiv:2410.10733, also normalises each pixel).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        rows = features.permute(0, 2, 3, 1)
        normed = F.layer_norm(rows, self.weight.shape, self.weight, self.bias, eps=1e-6)
        return normed.permute(0, 3, 1, 2)


def norm_layer(channels: int, kind: Norm) -> nn.Module:
    """Make the norm that the config names."""
    return PixelNorm(channels) if kind == "pixel" else group_norm(channels)


def convolution(
    in_width: int, out_width: int, side: int, edges: Edges, *, spectral_norm: bool
) -> nn.Module:
    """Make a square convolution that keeps the size, with spectral norm if asked."""
    layer = nn.Conv2d(in_width, out_width, side, padding=side // 2, padding_mode=edges)
    return with_spectral_norm(layer) if spectral_norm else layer


def zero_init(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """Set a layer's weight and bias to zero: its output starts at zero and learns at full speed."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def res_skip(features: Tensor, skip: Tensor | None) -> Tensor:
    """Add a skip stream to features and divide by sqrt(2); None is a skip of zeros."""
    if skip is None:
        return features * HALF_ROOT
    return (features + skip).mul_(HALF_ROOT)  # in place: one new map, not two


def num_heads(width: int) -> int:
    """Return the fewest equal attention heads with at most `HEAD_WIDTH` channels each."""
    fewest = -(-width // HEAD_WIDTH)
    return next(count for count in range(fewest, width + 1) if width % count == 0)


def pixels_first(features: Tensor) -> Tensor:
    """(..., channels, pixels) to (..., pixels, channels), with neighbouring channels side by side
    in memory: fused attention kernels require it. Copies maps in contiguous layout only."""
    rows = features.mT
    return rows if rows.stride(-1) == 1 else rows.contiguous()


def in_layout_of(features: Tensor, network: nn.Module) -> Tensor:
    """Bring a map to the memory layout of a network's convolutions: each would copy it otherwise,
    since norms and sums keep the layout that they get."""
    weights = (weight for weight in network.parameters() if weight.ndim == 4)
    format_of = torch.channels_last
    channels_last = any(
        weight.is_contiguous(memory_format=format_of) and not weight.is_contiguous()
        for weight in weights
    )
    return features.contiguous(memory_format=format_of) if channels_last else features


def average_pool(features: Tensor) -> Tensor:
    """Halve both sides by averaging."""
    return F.avg_pool2d(features, 2)


def upsample_nearest(features: Tensor) -> Tensor:
    """Double both sides, repeating each pixel."""
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


def project_to_width(in_width: int, out_width: int) -> nn.Module:
    """Make a 1x1 convolution to another width; the identity where the width stays."""
    return nn.Identity() if in_width == out_width else nn.Conv2d(in_width, out_width, 1)


def without_autocast(device: torch.device) -> torch.autocast:
    """Make the context in which layers compute in the precision of their weights and inputs."""
    kind = device.type
    return torch.autocast("cpu" if kind == "meta" else kind, enabled=False)  # meta has none
