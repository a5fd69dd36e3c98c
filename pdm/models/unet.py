"""The pyramid UNet: one velocity for every level of a pyramid of latents, all levels at once.

Its trunk runs over the resolutions of the latents. On the way down each level's latent joins the
stream at its own resolution (Res-Skip), on the way up a head per level reads its velocity off; the
global level enters through the embedding that modulates every block and leaves through a small
trunk of its own. A pyramid without a global level, such as LDM's single latent, does without both.
An untrained network predicts zero everywhere. Any size of picture works.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pdm import weights
from pdm.config.diffusion import UNetConfig
from pdm.models.attention import SpatialChannelAttention
from pdm.models.embedding import Embedding, GlobalTrunk
from pdm.models.layers import (
    EDGES_ZERO,
    ModulatedBlock,
    ToPixels,
    convolution,
    doubled,
    pooled,
    res_skip,
    to_width,
    zeroed,
)
from pdm.models.pyramid import Downsampling, Pyramid


class Layer(nn.Module):
    """A modulated block, and attention after it where the resolution is coarse enough."""

    def __init__(self, in_width: int, index: int, attends: bool, config: UNetConfig) -> None:
        super().__init__()
        width = config.widths[index]
        self.block = ModulatedBlock(
            in_width,
            width,
            embedding_width(config),
            dropout=config.dropout[index],
            spectral_norm=config.spectral_norm,
        )
        self.attention = (
            SpatialChannelAttention(
                width, norm="group", ratio="shape", spectral_norm=config.spectral_norm
            )
            if attends
            else nn.Identity()
        )

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """(B, in_width, h, w) to (B, width, h, w)."""
        attended: Tensor = self.attention(self.block(features, embedding))
        return attended


class DownStage(nn.Module):
    """The way down at one resolution: its level's latent joins after the first block."""

    def __init__(self, index: int, channels: int | None, attends: bool, config: UNetConfig) -> None:
        super().__init__()
        width, in_width = config.widths[index], config.widths[max(index - 1, 0)]
        self.entry = (
            None
            if channels is None
            else convolution(channels, width, 3, EDGES_ZERO, spectral_norm=config.spectral_norm)
        )
        self.layers = nn.ModuleList(
            Layer(in_width if number == 0 else width, index, attends, config)
            for number in range(config.blocks)
        )

    def forward(
        self, features: Tensor | None, latent: Tensor | None, embedding: Tensor
    ) -> list[Tensor]:
        """Features of the finer stage, pooled (None for the finest), to one map per layer."""
        entry = None if self.entry is None else self.entry(latent)
        maps: list[Tensor] = []
        for layer in self.layers:
            if features is None:  # the finest stage begins with its latent alone
                features, entry = entry, None
            features = layer(features, embedding)
            if entry is not None:
                features, entry = res_skip(features, entry), None
            maps.append(features)
        return maps


class UpStage(nn.Module):
    """The way up at one resolution: each layer also sees what the way down left there."""

    def __init__(self, index: int, channels: int | None, attends: bool, config: UNetConfig) -> None:
        super().__init__()
        width = config.widths[index]
        self.layers = nn.ModuleList(
            Layer(2 * width, index, attends, config) for _ in range(config.blocks)
        )
        self.narrow = to_width(width, config.widths[max(index - 1, 0)])
        self.exit = None if channels is None else ToPixels(width, channels, norm="group")
        if self.exit is not None:
            zeroed(self.exit.conv)

    def forward(
        self, features: Tensor, maps: list[Tensor], embedding: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Features for the finer stage, at its width, and this level's velocity, if any."""
        for layer, seen in zip(self.layers, reversed(maps), strict=True):
            features = layer(torch.cat([features, seen], dim=1), embedding)
        velocity = None if self.exit is None else self.exit(features)
        return self.narrow(features), velocity


class PyramidUNet(nn.Module):
    """Velocity field over pyramids.

    Args:
        config: Widths and layers; its lists run from the finest level's resolution on.
        level_channels: Channels of each level, coarse to fine.
        level_downsamplings: Coarse to fine; "global" may be the first.
        condition_width: Length of the condition vectors, or None for an unconditional network.
    """

    def __init__(
        self,
        config: UNetConfig,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
        condition_width: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.facts = {
            "level_channels": level_channels,
            "level_downsamplings": level_downsamplings,
            "condition_width": condition_width,
        }
        self.factors = _factors(config, level_downsamplings)
        channels = dict(zip(level_downsamplings, level_channels, strict=True))
        self.positions = {factor: k for k, factor in enumerate(level_downsamplings)}
        global_channels = channels.get("global")
        self.embedding = Embedding(embedding_width(config), global_channels, condition_width)
        stages = [
            (index, channels.get(factor), factor >= config.attention_from, config)
            for index, factor in enumerate(self.factors)
        ]
        self.down = nn.ModuleList(DownStage(*stage) for stage in stages)
        last = len(self.factors) - 1
        self.middle = Layer(config.widths[-1], last, stages[-1][2], config)
        self.global_trunk = (
            None
            if global_channels is None
            else GlobalTrunk(global_channels, config.widths[-1], embedding_width(config))
        )
        self.up = nn.ModuleList(UpStage(*stage) for stage in stages)

    def forward(self, pyramid: Pyramid, t: Tensor, condition: Tensor | None = None) -> Pyramid:
        """Velocity of every level at times t (B,) in [0, 1]; same shapes as the pyramid."""
        latent = None if self.global_trunk is None else pyramid[0][:, :, 0, 0]
        embedding = self.embedding(t, latent, condition)
        maps = self._descend(pyramid, embedding)
        features = self.middle(maps[-1][-1], embedding)
        velocities: list[Tensor] = []
        if self.global_trunk is not None:
            velocities.append(self.global_trunk(latent, features, embedding)[:, :, None, None])
        for index in reversed(range(len(self.up))):
            features, velocity = self.up[index](features, maps[index], embedding)
            if velocity is not None:
                velocities.append(velocity)
            features = doubled(features) if index else features
        return tuple(velocities)

    def save_pretrained(self, folder: Path, **facts: Any) -> None:
        """Write `config.json`, with the facts, and `model.safetensors`; see `pdm.weights.save`."""
        name = type(self).__name__
        known: dict[str, Any] = self.facts | facts
        weights.save(folder, name, self.config, self.state_dict(), **known)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""
        record, tensors = weights.load(folder, cls.__name__)
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in record["config"].items()
        }
        model = cls(
            UNetConfig(**settings),
            tuple(record["level_channels"]),
            tuple(record["level_downsamplings"]),
            record["condition_width"],
        )
        model.load_state_dict(tensors)
        return model.eval()

    def _descend(self, pyramid: Pyramid, embedding: Tensor) -> list[list[Tensor]]:
        """Maps of every layer on the way down, by resolution, finest first."""
        features, maps = None, []
        for stage, factor in zip(self.down, self.factors, strict=True):
            latent = pyramid[self.positions[factor]] if factor in self.positions else None
            maps.append(stage(features, latent, embedding))
            features = pooled(maps[-1][-1]) if factor != self.factors[-1] else None
        return maps


def embedding_width(config: UNetConfig) -> int:
    """Width of the vector that modulates every block."""
    return 4 * config.widths[0]


def _factors(config: UNetConfig, downsamplings: tuple[Downsampling, ...]) -> tuple[int, ...]:
    """Downsampling of the picture at every resolution of the trunk, finest first."""
    finest = int(downsamplings[-1])
    factors = tuple(finest * 2**index for index in range(len(config.widths)))
    maps = [factor for factor in downsamplings if factor != "global"]
    if len(maps) > 1 and factors[-1] != maps[0]:
        raise ValueError(
            f"levels {downsamplings} do not fit {len(config.widths)} widths: expected one width "
            f"for each downsampling from {finest} to {maps[0]}"
        )
    return factors
