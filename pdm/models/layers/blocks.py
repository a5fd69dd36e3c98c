"""Blocks of the autoencoder and the UNet, and their outputs. All map (B, C, H, W) to (B, C, H, W).

Spectral norm fixes a weight's largest singular value at 1, which would undo a small or zero
initialisation: what must start small is scaled by a learned gain after the convolution instead.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.layers.basic import (
    EDGES_REPEATED,
    EDGES_ZERO,
    Norm,
    convolution,
    group_norm,
    norm_layer,
    project_to_width,
    res_skip,
    without_autocast,
)


class PlainBlock(nn.Module):
    """Norm, SiLU, 3x3, norm, SiLU, dropout, 3x3, without a residual connection."""

    def __init__(
        self, in_width: int, out_width: int, *, norm: Norm, dropout: float, spectral_norm: bool
    ) -> None:
        super().__init__()
        self.norm_in = norm_layer(in_width, norm)
        self.conv_in = convolution(
            in_width, out_width, 3, EDGES_REPEATED, spectral_norm=spectral_norm
        )
        self.norm_out = norm_layer(out_width, norm)
        self.dropout = nn.Dropout(dropout)
        self.conv_out = convolution(
            out_width, out_width, 3, EDGES_REPEATED, spectral_norm=spectral_norm
        )
        self.gain = nn.Parameter(torch.ones(out_width, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_width, H, W) to (B, out_width, H, W)."""
        hidden: Tensor = self.conv_in(F.silu(self.norm_in(features)))
        hidden = self.conv_out(self.dropout(F.silu(self.norm_out(hidden))))
        return self.gain * hidden


class ResidualBlock(PlainBlock):
    """A plain block with a residual connection, 1x1 where the width changes."""

    def __init__(
        self, in_width: int, out_width: int, *, norm: Norm, dropout: float, spectral_norm: bool
    ) -> None:
        super().__init__(
            in_width, out_width, norm=norm, dropout=dropout, spectral_norm=spectral_norm
        )
        self.shortcut = project_to_width(in_width, out_width)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_width, H, W) to (B, out_width, H, W)."""
        return res_skip(self.shortcut(features), super().forward(features))


class ModulatedBlock(nn.Module):
    """A residual block whose second norm is scaled and shifted by an embedding (B, E)."""

    def __init__(
        self,
        in_width: int,
        out_width: int,
        embedding_width: int,
        *,
        dropout: nn.Module,
        spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.norm_in = group_norm(in_width)
        self.conv_in = convolution(in_width, out_width, 3, EDGES_ZERO, spectral_norm=spectral_norm)
        self.norm_out = group_norm(out_width)
        self.modulation = nn.Linear(embedding_width, 2 * out_width)
        self.dropout = dropout
        self.conv_out = convolution(
            out_width, out_width, 3, EDGES_ZERO, spectral_norm=spectral_norm
        )
        self.gain = nn.Parameter(torch.ones(out_width, 1, 1))
        self.shortcut = project_to_width(in_width, out_width)

    def forward(
        self,
        features: Tensor,
        embedding: Tensor,
        scale: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> Tensor:
        """(B, in_width, H, W) to (B, out_width, H, W).

        Args:
            features: At this resolution.
            embedding: (B, E).
            scale, shift: (B, out_width), which `modulate_blocks` made of it; None to make them
                here.
        """
        if scale is None or shift is None:
            scale, shift = self.modulation(F.silu(embedding)).chunk(2, dim=1)
            scale = 1 + scale
        hidden = self.conv_in(F.silu(self.norm_in(features)))
        hidden = self.norm_out(hidden) * scale[:, :, None, None] + shift[:, :, None, None]
        hidden = self.conv_out(self.dropout(F.silu(hidden)))
        return res_skip(self.shortcut(features), self.gain * hidden)


def modulate_blocks(
    blocks: Sequence[ModulatedBlock], embedding: Tensor
) -> dict[nn.Module, tuple[Tensor, Tensor]]:
    """Make the scales and shifts of blocks in one matrix product.

    Blocks whose weights are sharded, or have more than a linear layer for it, are left out.

    Args:
        blocks: Of one network.
        embedding: (B, E).

    Returns:
        Scale and shift of each block, (B, out_width).
    """
    plain = [block for block in blocks if _is_plain(block.modulation)]
    if not plain:
        return {}
    layers = [block.modulation for block in plain]
    weights = torch.cat([layer.weight for layer in layers])
    biases = torch.cat([layer.bias for layer in layers])
    # A layer's first half are the scales, less 1.
    sizes = [layer.out_features // 2 for layer in layers for _ in range(2)]
    ends = torch.arange(1, -1, -1, dtype=biases.dtype, device=biases.device)
    firsts = torch.cat([ends[number % 2].expand(size) for number, size in enumerate(sizes)])
    joint = F.linear(F.silu(embedding), weights, biases + firsts)
    parts = torch.split(joint, sizes, dim=1)
    return dict(zip(plain, zip(parts[::2], parts[1::2], strict=True), strict=True))


def _is_plain(layer: nn.Module) -> bool:
    # A sharded weight (DTensor, whose import would take long) has a mesh of devices.
    return type(layer) is nn.Linear and not hasattr(layer.weight, "device_mesh")


class NoPixels(nn.Module):
    """Stands in for `ToPixels` where a stage adds nothing to the image."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to zeros (B, 3, H, W)."""
        return features.new_zeros(len(features), 3, *features.shape[2:])


class ToPixels(nn.Module):
    """Features to an image or a latent (tRGB): norm, SiLU, 3x3."""

    def __init__(self, width: int, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self.norm = norm_layer(width, norm)
        self.conv = nn.Conv2d(width, channels, 3, padding=1, padding_mode=EDGES_REPEATED)

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W) to (B, channels, H, W); outside of training in float32 at least."""
        features = F.silu(self.norm(features))
        if self.training:
            trained: Tensor = self.conv(features)
            return trained
        with without_autocast(features.device):
            pixels: Tensor = self.conv(features.to(self.conv.weight.dtype))
        return pixels
