"""Blocks that the UNet and the time-aware encoder are made of.

Modules are named as in the published weights (`in_layers`, `emb_layers`, ...), so that these keep
their names.
"""

from collections.abc import Mapping
from typing import Any

from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.stablesr import GROUPS

HIDDEN = 128  # channels of a modulation between the encoder's map and its scale and shift
WIDTH_OF_TIME = 4  # times that of the network

Maps = Mapping[int, Tensor]  # the encoder's maps (B, C, h, w), by their width w


class Modulation(nn.Module):
    """Scales and shifts a normalised map, cell by cell, as a map of the encoder says.

    With convolutions g and b of the same hidden map: norm(x) * (1 + g) + b. SPADE (Park et al.,
    arXiv:1903.07291, equation 1) with a group norm, whose gains and biases are learned, too.
    """

    def __init__(self, width: int, map_width: int) -> None:
        super().__init__()
        self.param_free_norm = nn.GroupNorm(GROUPS, width)
        self.mlp_shared = nn.Sequential(nn.Conv2d(map_width, HIDDEN, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(HIDDEN, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(HIDDEN, width, 3, padding=1)

    def forward(self, x: Tensor, maps: Maps) -> Tensor:
        """Modulate (B, C, h, w) by the map of its size."""
        hidden = self.mlp_shared(maps[x.shape[-1]])
        scale, shift = self.mlp_gamma(hidden), self.mlp_beta(hidden)
        modulated: Tensor = self.param_free_norm(x) * (1 + scale) + shift
        return modulated


class ResBlock(nn.Module):
    """A residual block that adds the time; in the UNet its branch is modulated before the sum."""

    def __init__(
        self, width_in: int, width_out: int, time_width: int, map_width: int | None = None
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width_in), nn.SiLU(), nn.Conv2d(width_in, width_out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, width_out))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width_out),
            nn.SiLU(),
            nn.Identity(),  # the published dropout, of rate 0
            nn.Conv2d(width_out, width_out, 3, padding=1),
        )
        self.spade = None if map_width is None else Modulation(width_out, map_width)
        same = width_in == width_out
        self.skip_connection = nn.Identity() if same else nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor, time: Tensor, maps: Maps) -> Tensor:
        """Map (B, C, h, w) and a time (B, time_width) to (B, width_out, h, w)."""
        branch = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        branch = self.out_layers(branch)
        if self.spade is not None:
            branch = self.spade(branch, maps)
        result: Tensor = self.skip_connection(x) + branch
        return result


class SelfAttention(nn.Module):
    """Attention of all cells to each other. Channels of `qkv` are ordered by head, then by query,
    key and value."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(GROUPS, width)
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.proj_out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        cells: Any = self.qkv(self.norm(x.flatten(2)))
        heads = cells.unflatten(1, (self.num_heads, 3, -1)).transpose(3, 4)
        attended = F.scaled_dot_product_attention(*heads.unbind(2))  # (B, heads, cells, channels)
        read: Tensor = self.proj_out(attended.transpose(2, 3).flatten(1, 2))
        return x + read.view_as(x)


class Downsample(nn.Module):
    """Halves a map by a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, h / 2, w / 2)."""
        halved: Tensor = self.op(x)
        return halved


class Upsample(nn.Module):
    """Doubles a map, by nearest neighbours and a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C, 2 h, 2 w)."""
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return doubled


class TimeEmbedding(nn.Sequential):
    """Cosines and sines of a step, then two linear layers."""

    def __init__(self, width: int) -> None:
        wide = WIDTH_OF_TIME * width
        super().__init__(nn.Linear(width, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.width = width

    def forward(self, steps: Tensor) -> Tensor:
        """(B,), from 0 to 999, to (B, 4 * width)."""
        x = get_timestep_embedding(steps, self.width, flip_sin_to_cos=True, downscale_freq_shift=0)
        for layer in self:
            x = layer(x)
        return x


class Stage(nn.ModuleList):
    """Layers that are applied in turn, each to what it takes.

    Residual blocks take the time and the maps, transformers the text, all others nothing.
    """

    def forward(self, x: Tensor, time: Tensor, maps: Maps, text: Tensor | None = None) -> Tensor:
        """Apply the layers.

        Args:
            x: (B, C, h, w).
            time: (B, time_width).
            maps: Of the encoder; none in the encoder itself.
            text: (B, tokens, text_width), if a layer reads it.
        """
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, time, maps)
            elif isinstance(layer, Transformer2DModel):
                x = layer(x, encoder_hidden_states=text, return_dict=False)[0]
            else:
                x = layer(x)
        return x


def attend_to_text(width: int, head_width: int, text_width: int) -> nn.Module:
    """Build the transformer of Stable Diffusion 2: self-attention, attention to the text's tokens,
    and a feed-forward layer, between linear projections."""
    transformer: nn.Module = Transformer2DModel(
        num_attention_heads=width // head_width,
        attention_head_dim=head_width,
        in_channels=width,
        cross_attention_dim=text_width,
        norm_num_groups=GROUPS,
        use_linear_projection=True,
    )
    return transformer
