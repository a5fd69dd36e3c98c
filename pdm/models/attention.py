"""Spatial-channel attention: over pixels and over channels, weighted by their counts.

PDM (arXiv:2403.12915) describes the two attentions and a ratio of importance that follows from the
numbers of pixels and channels, but gives no equation that we found. We read it, with N pixels and
C channels, as

    w_s = N / (N + C),  w_c = C / (N + C)
    out = (x + proj(w_s * spatial + w_c * channel)) / sqrt(2),

so spatial attention dominates where there are many pixels (early layers), and channel attention in
the deep layers. These weights change when a trained network gets a larger picture. The ratio
`equal` uses one half each, at any size; `spatial` leaves the channels out, as other UNets do.
"""

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.layers import (
    EDGES_ZERO,
    Norm,
    convolution,
    norm_layer,
    num_heads,
    pixels_first,
    res_skip,
    zero_init,
)

Ratio = Literal["shape", "equal", "spatial"]


def importance(num_pixels: int, num_channels: int, ratio: Ratio) -> tuple[float, float]:
    """Give the weights of spatial and channel attention; they sum to 1."""
    if ratio == "equal":
        return 0.5, 0.5
    if ratio == "spatial":
        return 1.0, 0.0
    total = num_pixels + num_channels
    return num_pixels / total, num_channels / total


def spatial_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend from each pixel to all pixels. All tensors are (B, heads, channels, pixels)."""
    query, key, value = pixels_first(query), pixels_first(key), pixels_first(value)
    attended: Tensor = F.scaled_dot_product_attention(query, key, value)
    return attended.mT


def channel_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend from each channel to all of its head. All tensors are (B, heads, channels, pixels)."""
    logits: Tensor = query @ key.mT / math.sqrt(query.shape[-1])
    return logits.softmax(dim=-1) @ value


class SpatialChannelAttention(nn.Module):
    """Self-attention over pixels and channels at once, with one query, key and value for both.

    Its projection starts at zero, so an untrained one only scales its input.
    """

    def __init__(self, width: int, *, norm: Norm, ratio: Ratio, spectral_norm: bool) -> None:
        super().__init__()
        self.num_heads = num_heads(width)
        self.ratio = ratio
        self.norm = norm_layer(width, norm)
        self.query_key_value = convolution(
            width, 3 * width, 1, EDGES_ZERO, spectral_norm=spectral_norm
        )
        self.projection = zero_init(nn.Conv2d(width, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        batch, width, height, breadth = features.shape
        stacked = self.query_key_value(self.norm(features))
        heads = stacked.reshape(batch, 3, self.num_heads, -1, height * breadth)
        query, key, value = heads.unbind(dim=1)
        spatial_weight, channel_weight = importance(height * breadth, width, self.ratio)
        attended = spatial_weight * spatial_attention(query, key, value)
        if channel_weight:
            attended = attended + channel_weight * channel_attention(query, key, value)
        return res_skip(features, self.projection(attended.reshape(features.shape)))
