"""Spatial-channel attention: over pixels and over channels, weighted by their counts.

PDM (arXiv:2403.12915) describes the two attentions and a ratio of importance that follows from the
numbers of pixels and channels, but gives no equation that we found. We read it, with N pixels and
C channels, as

    w_s = N / (N + C),  w_c = C / (N + C)
    out = (x + proj(w_s * spatial + w_c * channel)) / sqrt(2),

so spatial attention dominates where there are many pixels (early layers), and channel attention in
the deep layers. These weights change when a trained network gets a larger image. The ratio
`equal` uses one half each, at any size; `spatial` leaves the channels out, as other UNets do.

`CrossAttention` reads the tokens of a condition, such as those of a text.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.layers.basic import (
    EDGES_ZERO,
    Norm,
    convolution,
    group_norm,
    norm_layer,
    num_heads,
    pixels_first,
    res_skip,
    zero_init,
)

Ratio = Literal["shape", "equal", "spatial"]


def importance(num_pixels: int, num_channels: int, ratio: Ratio) -> tuple[float, float]:
    """Return the weights of spatial and channel attention; they sum to 1."""
    if ratio == "equal":
        return 0.5, 0.5
    if ratio == "spatial":
        return 1.0, 0.0
    total = num_pixels + num_channels
    return num_pixels / total, num_channels / total


def spatial_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend from each pixel to all pixels. All tensors are (B * heads, pixels, channels)."""
    # With one head: Inductor takes several for the channels of a map, and copies all tensors to
    # bring them side by side.
    query, key, value = query[:, None], key[:, None], value[:, None]
    attended: Tensor = F.scaled_dot_product_attention(query, key, value)
    return attended.squeeze(1)


def channel_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend from each channel to all of its head; tensors are (B * heads, pixels, channels)."""
    logits: Tensor = query.mT @ key / math.sqrt(query.shape[1])
    return value @ logits.softmax(dim=-1).mT


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
        height, width = features.shape[2:]
        query, key, value = self._split(self.query_key_value(self.norm(features)))
        spatial_weight, channel_weight = importance(height * width, features.shape[1], self.ratio)
        attended = spatial_attention(query, key, value)
        if channel_weight:
            channel = channel_attention(query, key, value)
            attended = _mix(attended, channel, spatial_weight, channel_weight)
        by_head = attended.reshape(len(features), self.num_heads, *attended.shape[1:])
        rows = by_head.transpose(1, 2).reshape(len(features), height, width, -1)
        return res_skip(features, self.projection(rows.permute(0, 3, 1, 2)))

    def _split(self, stacked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3 * width, H, W) to query, key and value, each (B * heads, pixels, channels).

        One copy brings all three to the layout that no product copies again: heads apart, and the
        channels of a pixel side by side.
        """
        batch, channels, height, width = stacked.shape
        # By rows, since the gradient then comes back in channels_last layout.
        rows = stacked.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        heads = rows.view(batch, height * width, 3, self.num_heads, channels // 3 // self.num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous().unbind()
        return query, key, value


class CrossAttention(nn.Module):
    """Attention from each pixel to the tokens. Its projection starts at zero."""

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.num_heads = num_heads(width)
        self.norm = group_norm(width)
        self.query = nn.Conv2d(width, width, 1)
        self.key_value = nn.Linear(token_width, 2 * width)
        self.projection = zero_init(nn.Conv2d(width, width, 1))

    def forward(self, features: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, width, h, w) and (B, N, token_width) to (B, width, h, w); no pixel reads tokens where
        the mask (B, N) is False."""
        batch, channels, height, width = features.shape
        query = self.query(self.norm(features)).reshape(batch, self.num_heads, -1, height * width)
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        key, value = (
            part.reshape(batch, -1, self.num_heads, channels // self.num_heads).transpose(1, 2)
            for part in (key, value)
        )
        allowed = None if mask is None else mask[:, None, None, :]
        attended = F.scaled_dot_product_attention(pixels_first(query), key, value, allowed)
        return res_skip(features, self.projection(attended.mT.reshape(features.shape)))


def _mix(spatial: Tensor, channel: Tensor, spatial_weight: float, channel_weight: float) -> Tensor:
    """Weigh the two attentions; the weights sum to 1."""
    if torch.compiler.is_compiling():  # a lerp would have a weight of one size
        return spatial_weight * spatial + channel_weight * channel
    return spatial.lerp(channel, channel_weight)
