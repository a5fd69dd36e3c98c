"""The encoder: one small stream without branches, from the image down to one vector.

At every resolution the pooled image is added to the stream (input skip, as in StyleGAN2). Where
the pyramid has a level, a head outputs it. The setting `skips` names the three columns of PDM's
figure 4: residual blocks (`residual`), the pooled image at every stage (`input_output`), or both
(`res_skip`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.autoencoder_model import AutoencoderModelConfig, LevelConfig
from pdm.models.autoencoder_parts.stage_layers import attention_at, block_type
from pdm.models.layers.basic import EDGES_REPEATED, average_pool, convolution, res_skip
from pdm.models.layers.blocks import ToPixels
from pdm.models.levels.pyramid import Downsampling

INITIAL_LOG_VARIANCE = -6.0  # latents start with little noise and learn how much they can bear


class EncoderStage(nn.Module):
    """All layers of one resolution."""

    def __init__(self, config: AutoencoderModelConfig, index: int) -> None:
        super().__init__()
        width, in_width = config.encoder_widths[index], config.encoder_widths[max(index - 1, 0)]
        block, spectral_norm = block_type(config), config.encoder_spectral_norm
        self.blocks = nn.ModuleList(
            block(
                in_width if number == 0 else width,
                width,
                norm=config.norm,
                dropout=config.encoder_dropout[index],
                spectral_norm=spectral_norm,
            )
            for number in range(config.encoder_blocks)
        )
        self.from_rgb = None if config.skips == "residual" else nn.Conv2d(3, width, 1)
        self.attention = attention_at(config, index, width, spectral_norm=spectral_norm)

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """Take the finer stage's features, pooled, and the image pooled to the same size."""
        skip = None if self.from_rgb is None else self.from_rgb(images)
        features = res_skip(self.blocks[0](features), skip)
        for block in self.blocks[1:]:
            features = block(features)
        attended: Tensor = self.attention(features)
        return attended


class GlobalHead(nn.Module):
    """Head of the global level, from the average over all pixels."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(B, width, H, W) to (B, channels, 1, 1)."""
        hidden = F.silu(self.hidden(F.silu(features).mean(dim=(2, 3))))
        output: Tensor = self.output(hidden)
        return output[:, :, None, None]


class Encoder(nn.Module):
    """Encoder of images to means and, where a level is not deterministic, log-variances."""

    def __init__(self, config: AutoencoderModelConfig) -> None:
        super().__init__()
        widths = config.encoder_widths
        self.stem = convolution(3, widths[0], 3, EDGES_REPEATED, spectral_norm=False)
        self.stages = nn.ModuleList(EncoderStage(config, index) for index in range(len(widths)))
        self.global_head = GlobalHead(widths[-1], _outputs(config.levels[0]))
        self.heads = nn.ModuleDict(
            {
                str(level.downsampling): ToPixels(
                    widths[int(level.downsampling).bit_length() - 1],
                    _outputs(level),
                    norm=config.norm,
                )
                for level in config.levels[1:]
            }
        )
        _start_with_little_noise(self, config)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode (B, 3, H, W) to the levels, coarse to fine.

        Each is (B, 2 * C, h, w), means then log-variances, or (B, C, h, w) if deterministic.
        """
        return self.coarse(self.stem(images), images, 0)

    def coarse(self, features: Tensor, images: Tensor, first: int) -> tuple[Tensor, ...]:
        """Run the stages from `first` on, and return their levels, coarse to fine.

        Args:
            features: Input of the stage `first`.
            images: The image, pooled to the same size.
            first: Index of the first stage to run.
        """
        outputs = []
        for index in range(first, len(self.stages)):
            if index > first:
                features, images = average_pool(features), average_pool(images)
            features = self.stages[index](features, images)
            if head := self.head_of(index):
                outputs.append(head(features))
        return (self.global_head(features), *reversed(outputs))

    def head_of(self, index: int) -> nn.Module | None:
        """Return the head of a stage's level; None if the stage has no level."""
        name = str(2**index)
        if name not in self.heads:
            return None
        return self.heads[name]


def _outputs(level: LevelConfig) -> int:
    """Count the channels of a level's head: without a KL weight there are no log-variances."""
    return 2 * level.channels if level.kl_weight else level.channels


@torch.no_grad()
def _start_with_little_noise(encoder: Encoder, config: AutoencoderModelConfig) -> None:
    for level in config.levels:
        if level.kl_weight:
            layer = _last_layer(encoder, level.downsampling)
            assert layer.bias is not None
            layer.weight[level.channels :] = 0
            layer.bias[level.channels :] = INITIAL_LOG_VARIANCE


def _last_layer(encoder: Encoder, downsampling: Downsampling) -> nn.Linear | nn.Conv2d:
    if downsampling == "global":
        return encoder.global_head.output
    head = encoder.heads[str(downsampling)]
    assert isinstance(head, ToPixels)
    return head.conv
