"""Stages of the pyramid UNet: the layers of one resolution, on the way down and on the way up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pdm.config.networks.unet import UNetConfig
from pdm.models.layers.attention import CrossAttention, SpatialChannelAttention
from pdm.models.layers.basic import EDGES_ZERO, convolution, project_to_width, res_skip, zero_init
from pdm.models.layers.blocks import ModulatedBlock, ToPixels
from pdm.models.unet_parts.streams import FallingDropout, InputStream, OutputStream


@dataclass(frozen=True)
class StageSpec:
    """What the layers of one resolution are built for.

    Args:
        index: Of the resolution, finest first.
        self_attention: Whether pixels attend to each other.
        cross_attention: Whether pixels attend to the tokens, if the condition has any.
        level_channels: Of the level of this resolution; None if there is none.
        finer_channels: Of all finer levels together.
        coarser_channels: Of the next coarser level that is a map; None if there is none.
        condition_channels: Of the condition's map for this level; 0 if there is none.
    """

    index: int
    self_attention: bool
    cross_attention: bool
    level_channels: int | None
    finer_channels: int
    coarser_channels: int | None
    condition_channels: int


@dataclass(frozen=True)
class Context:
    """Input that all layers of a network share."""

    embedding: Tensor  # (B, embedding_width)
    tokens: Tensor | None  # (B, N, token_width)
    mask: Tensor | None = None  # (B, N), False for tokens that are padding
    # Scales and shifts of blocks that were made of the embedding for all of them at once.
    modulations: Mapping[nn.Module, tuple[Tensor, Tensor]] = field(default_factory=dict)


class Layer(nn.Module):
    """A modulated block, and attention after it where the resolution is coarse enough: between
    pixels, then to the tokens."""

    def __init__(self, in_width: int, spec: StageSpec, config: UNetConfig) -> None:
        super().__init__()
        width, rate = config.widths[spec.index], config.dropout[spec.index]
        self.block = ModulatedBlock(
            in_width,
            width,
            config.embedding_width,
            dropout=FallingDropout(rate) if config.dropout_falls else nn.Dropout(rate),
            spectral_norm=config.spectral_norm,
        )
        self.attention: nn.Module = nn.Identity()
        self.reading = None
        if spec.self_attention:
            self.attention = SpatialChannelAttention(
                width,
                norm="group",
                ratio=config.attention_ratio,
                spectral_norm=config.spectral_norm,
            )
        if spec.cross_attention and config.condition and config.condition.token_width:
            self.reading = CrossAttention(width, config.condition.token_width)

    def forward(self, features: Tensor, context: Context) -> Tensor:
        """(B, in_width, h, w) to (B, width, h, w)."""
        modulation = context.modulations.get(self.block, ())
        features = self.attention(self.block(features, context.embedding, *modulation))
        if self.reading is None:
            return features
        read: Tensor = self.reading(features, context.tokens, context.mask)
        return read


class DownStage(nn.Module):
    """The way down at one resolution: its level's latent joins after the first block."""

    def __init__(self, spec: StageSpec, config: UNetConfig) -> None:
        super().__init__()
        width, in_width = config.widths[spec.index], config.widths[max(spec.index - 1, 0)]
        self.in_width = in_width
        self.entry = (
            None
            if spec.level_channels is None
            else convolution(
                spec.level_channels, width, 3, EDGES_ZERO, spectral_norm=config.spectral_norm
            )
        )
        streams = config.input_stream and spec.finer_channels
        self.stream = InputStream(spec.finer_channels, width) if streams else None
        given = config.condition.map_channels if config.condition else 0
        self.given = zero_init(nn.Conv2d(given, width, 1)) if given else None
        own = spec.condition_channels
        self.given_level = zero_init(nn.Conv2d(own, width, 1)) if own else None
        self.layers = nn.ModuleList(
            Layer(in_width if number == 0 else width, spec, config)
            for number in range(config.blocks[spec.index])
        )

    def forward(
        self,
        features: Tensor | None,
        latent: Tensor | None,
        finer: list[Tensor],
        condition_map: Tensor | None,
        level_map: Tensor | None,
        context: Context,
    ) -> list[Tensor]:
        """Return one map per layer.

        Args:
            features: Features of the finer stage, downsampled; None for the finest stage.
            latent: Latent of this resolution's level, if there is one.
            finer: Latents of all finer levels.
            condition_map: The condition's map, at this resolution, if there is one.
            level_map: The condition's map for this level, if there is one.
            context: Embedding and tokens, for all layers.
        """
        entry = None if self.entry is None else self.entry(latent)
        if entry is not None and self.given is not None:
            entry = entry + self.given(condition_map)
        if entry is not None and self.given_level is not None:
            entry = entry + self.given_level(level_map)
        maps: list[Tensor] = []
        for layer in self.layers:
            if features is None:  # the finest stage begins with its latent alone
                features, entry = entry, None
            features = layer(features, context)
            if entry is not None:
                features, entry = res_skip(features, entry), None
            if not maps and self.stream is not None:
                features = self.stream(features, finer)
            maps.append(features)
        return maps


class UpStage(nn.Module):
    """The way up at one resolution: each layer also gets a map from the way down (UNet skip)."""

    def __init__(self, spec: StageSpec, config: UNetConfig) -> None:
        super().__init__()
        width = config.widths[spec.index]
        self.layers = nn.ModuleList(
            Layer(2 * width, spec, config) for _ in range(config.blocks[spec.index])
        )
        self.narrow = project_to_width(width, config.widths[max(spec.index - 1, 0)])
        self.exit = (
            None
            if spec.level_channels is None
            else ToPixels(width, spec.level_channels, norm="group")
        )
        if self.exit is not None:
            zero_init(self.exit.conv)
        self.stream = (
            OutputStream(spec.coarser_channels, spec.level_channels)
            if config.output_stream and spec.coarser_channels and spec.level_channels
            else None
        )

    def forward(self, features: Tensor, maps: list[Tensor], context: Context) -> Tensor:
        """Join the coarser stage's features, upsampled, with the skips of the way down."""
        for layer, skip in zip(self.layers, reversed(maps), strict=True):
            features = layer(torch.cat([features, skip], dim=1), context)
        return features

    def velocity(self, features: Tensor, coarser: Tensor | None) -> Tensor:
        """Predict the velocity of this level; `coarser` is that of the next coarser map level."""
        assert self.exit is not None
        velocity: Tensor = self.exit(features)
        if self.stream is not None:
            velocity = self.stream(velocity, coarser)
        return velocity
