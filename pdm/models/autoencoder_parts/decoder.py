"""The decoder: a large stream from the global latent up to the image, with a branch per level.

The stream starts at the coarsest map, from the global latent. Each stage doubles its sides (nearest
neighbour), adds the latent of its resolution if there is one, and adds its part to a running
image (output skip, as in StyleGAN2). A missing level adds nothing, so any prefix of the pyramid
can be decoded.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.models.autoencoder_parts.stage_layers import attention_at, block_type
from pdm.models.layers.basic import (
    EDGES_REPEATED,
    Norm,
    convolution,
    in_layout_of,
    project_to_width,
    res_skip,
    upsample_nearest,
)
from pdm.models.layers.blocks import NoPixels, ResidualBlock, ToPixels
from pdm.models.levels.pyramid import Pyramid
from pdm.models.levels.waves import lowest_cosines


class GlobalStart(nn.Module):
    """A smooth map from the global latent: a bilinear mix of four patterns, at any size.

    The patterns are the cosines of frequency 0 and 1 along each side. They encode where in the
    image a pixel lies, whatever the number of pixels.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, 4 * width)

    def forward(self, latent: Tensor, height: int, width: int) -> Tensor:
        """(B, channels, 1, 1) to (B, C, height, width), where C is the width of the network."""
        mix = self.mix(latent[:, :, 0, 0]).unflatten(1, (4, -1))
        rows, columns = (lowest_cosines(side, latent) for side in (height, width))
        patterns = torch.einsum("ih,jw->ijhw", rows, columns).flatten(0, 1)
        features: Tensor = torch.einsum("bkc,khw->bchw", mix, patterns)
        return features


class Branch(nn.Module):
    """Features of one level's latent, to be added to the stream."""

    def __init__(self, channels: int, width: int, *, norm: Norm, spectral_norm: bool) -> None:
        super().__init__()
        self.conv = convolution(channels, width, 3, EDGES_REPEATED, spectral_norm=False)
        self.block = ResidualBlock(
            width, width, norm=norm, dropout=0.0, spectral_norm=spectral_norm
        )

    def forward(self, latent: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, width, h, w)."""
        features: Tensor = self.block(self.conv(latent))
        return features


class DecoderStage(nn.Module):
    """All layers of one resolution."""

    def __init__(self, config: AutoencoderModelConfig, index: int, channels: int | None) -> None:
        super().__init__()
        widths, spectral_norm = config.decoder_widths, config.decoder_spectral_norm
        width = widths[index]
        block = block_type(config)
        self.branch = (
            None
            if channels is None
            else Branch(channels, width, norm=config.norm, spectral_norm=spectral_norm)
        )
        self.blocks = nn.Sequential(
            *(
                block(
                    width,
                    width,
                    norm=config.norm,
                    dropout=config.decoder_dropout[index],
                    spectral_norm=spectral_norm,
                )
                for _ in range(config.decoder_blocks)
            )
        )
        self.attention = attention_at(config, index, width, spectral_norm=spectral_norm)
        adds = index == 0 or config.skips != "residual"
        self.to_rgb = ToPixels(width, 3, norm=config.norm) if adds else NoPixels()
        # To the next stage's width, before its sides are doubled: cheaper there.
        self.narrow = project_to_width(width, widths[max(index - 1, 0)])

    def forward(self, features: Tensor, latent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take features at this resolution, and this level's latent if there is one.

        Returns:
            Features for the next stage, at its width, and this stage's part of the image.
        """
        if self.branch is not None:
            features = res_skip(features, None if latent is None else self.branch(latent))
        features = self.attention(self.blocks(features))
        # In bfloat16 the sum over the stages would be rounded to half a grey level.
        return self.narrow(features), at_least_float32(self.to_rgb(features))


class Decoder(nn.Module):
    """Decoder of a pyramid, or a prefix of one, to images."""

    def __init__(self, config: AutoencoderModelConfig) -> None:
        super().__init__()
        levels = {level.downsampling: level.channels for level in config.levels}
        self.positions = {level.downsampling: k for k, level in enumerate(config.levels)}
        self.start = GlobalStart(levels["global"], config.decoder_widths[-1])
        self.stages = nn.ModuleList(
            DecoderStage(config, index, levels.get(2**index))
            for index in reversed(range(len(config.decoder_widths)))
        )

    def forward(self, pyramid: Pyramid, height: int, width: int) -> Tensor:
        """Decode to images (B, 3, H, W); height and width are those of the coarsest map."""
        _, images = self.coarse(pyramid, height, width, len(self.stages))
        return images

    def coarse(
        self, pyramid: Pyramid, height: int, width: int, num_stages: int
    ) -> tuple[Tensor, Tensor]:
        """Run the coarsest stages, at least one.

        Returns:
            Features for the next stage, at half its sides, and the image so far.
        """
        features = in_layout_of(self.start(pyramid[0], height, width), self.stages[0])
        features, images = self.stages[0](features, self.latent_of(0, pyramid))
        for number in range(1, num_stages):
            latent = self.latent_of(number, pyramid)
            features, share = self.stages[number](upsample_nearest(features), latent)
            images = upsample_bilinear(images) + share
        return features, images

    def latent_of(self, number: int, pyramid: Pyramid) -> Tensor | None:
        """Return a stage's latent; None if it has none, or the prefix ends before it."""
        position = self.positions.get(2 ** (len(self.stages) - 1 - number), len(pyramid))
        return pyramid[position] if position < len(pyramid) else None


def at_least_float32(images: Tensor) -> Tensor:
    """Convert to float32 what autocast computed in lower precision."""
    return images.to(torch.promote_types(images.dtype, torch.float32))


def upsample_bilinear(images: Tensor) -> Tensor:
    """Double both sides, bilinear."""
    return F.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)
