"""The encoder: one light stream without branches, from the picture down to one vector.

At every resolution the pooled picture itself joins the stream (Input-Skip, as in StyleGAN2), and
where the pyramid has a level, a head reads it off.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.autoencoder import AutoencoderModelConfig
from pdm.models.attention import SpatialChannelAttention
from pdm.models.layers import (
    EDGES_REPEATED,
    ResidualBlock,
    ToPixels,
    convolution,
    pooled,
    res_skip,
)

INITIAL_LOG_VARIANCE = -6.0  # the levels start nearly free of noise, and learn what they can bear


class EncoderStage(nn.Module):
    """All layers of one resolution."""

    def __init__(self, config: AutoencoderModelConfig, index: int) -> None:
        super().__init__()
        width, in_width = config.encoder_widths[index], config.encoder_widths[max(index - 1, 0)]
        self.blocks = nn.ModuleList(
            ResidualBlock(
                in_width if number == 0 else width,
                width,
                norm=config.norm,
                dropout=config.encoder_dropout[index],
                spectral_norm=config.encoder_spectral_norm,
            )
            for number in range(config.encoder_blocks)
        )
        self.from_rgb = nn.Conv2d(3, width, 1)
        attends = 2**index >= config.attention_from
        self.attention = (
            SpatialChannelAttention(
                width,
                norm=config.norm,
                ratio=config.attention_ratio,
                spectral_norm=config.encoder_spectral_norm,
            )
            if attends
            else nn.Identity()
        )

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """Features of the finer stage, pooled, and the picture pooled as often."""
        features = res_skip(self.blocks[0](features), self.from_rgb(images))
        for block in self.blocks[1:]:
            features = block(features)
        attended: Tensor = self.attention(features)
        return attended


class GlobalHead(nn.Module):
    """Mean and log-variance of the global level, from the average over all pixels."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, 2 * channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W) to (B, 2 * channels, 1, 1)."""
        hidden = F.silu(self.hidden(F.silu(features).mean(dim=(2, 3))))
        output: Tensor = self.output(hidden)
        return output[:, :, None, None]


class Encoder(nn.Module):
    """Images to the means and log-variances of every level."""

    def __init__(self, config: AutoencoderModelConfig) -> None:
        super().__init__()
        widths = config.encoder_widths
        self.stem = convolution(3, widths[0], 3, EDGES_REPEATED, spectral_norm=False)
        self.stages = nn.ModuleList(EncoderStage(config, index) for index in range(len(widths)))
        self.global_head = GlobalHead(widths[-1], config.levels[0].channels)
        self.heads = nn.ModuleDict(
            {
                str(level.downsampling): ToPixels(
                    widths[int(level.downsampling).bit_length() - 1],
                    2 * level.channels,
                    norm=config.norm,
                )
                for level in config.levels[1:]
            }
        )
        _start_with_little_noise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to (B, 2 * C, h, w) per level, coarse to fine: means, then log-variances."""
        return self.coarse(self.stem(images), images, 0)

    def coarse(self, features: Tensor, images: Tensor, first: int) -> tuple[Tensor, ...]:
        """The levels from the stage `first` on, coarse to fine.

        Args:
            features: What that stage takes, and the picture pooled to the same size.
        """
        outputs = []
        for index in range(first, len(self.stages)):
            if index > first:
                features, images = pooled(features), pooled(images)
            features = self.stages[index](features, images)
            if head := self.head_of(index):
                outputs.append(head(features))
        return (self.global_head(features), *reversed(outputs))

    def head_of(self, index: int) -> nn.Module | None:
        """What reads a level off a stage; None if there is no level."""
        name = str(2**index)
        if name not in self.heads:
            return None
        return self.heads[name]


@torch.no_grad()
def _start_with_little_noise(encoder: Encoder) -> None:
    outputs: list[nn.Linear | nn.Conv2d] = [encoder.global_head.output]
    for head in encoder.heads.values():
        assert isinstance(head, ToPixels)
        outputs.append(head.conv)
    for layer in outputs:
        assert layer.bias is not None
        channels = layer.bias.shape[0] // 2
        layer.weight[channels:] = 0
        layer.bias[channels:] = INITIAL_LOG_VARIANCE
