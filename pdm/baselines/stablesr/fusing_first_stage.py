"""Controllable feature wrapping (StableSR, section 3.3): a decoder that is told once more, at two
resolutions, what the enlarged picture looked like.

Its weights are those of the published file `vqgan_cfw_00011.ckpt`, whose names they keep.
"""

from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.baselines.first_stage import DESIGNS, KLFirstStage, diffusers_arguments
from pdm.config.networks.stablesr import FusingFirstStageConfig
from pdm.models.levels.pyramid import Pyramid

GROWTH, SLOPE, SHARE = 32, 0.2, 0.2  # of dense blocks (ESRGAN, Wang et al., arXiv:1809.00219)
NUM_DENSE = 2  # groups of dense blocks in a fusion
FUSED_LEVELS = (1, 2)  # downsampled 2 and 4 times


class DenseBlock(nn.Module):
    """Five convolutions, each of which reads the input and all before it; added in part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for number in range(1, 5):
            read = width + (number - 1) * GROWTH
            setattr(self, f"conv{number}", nn.Conv2d(read, GROWTH, 3, padding=1))
        self.conv5 = nn.Conv2d(width + 4 * GROWTH, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        seen = [x]
        for number in range(1, 5):
            layer = self.get_submodule(f"conv{number}")
            seen.append(F.leaky_relu(layer(torch.cat(seen, dim=1)), SLOPE))
        added: Tensor = self.conv5(torch.cat(seen, dim=1))
        return x + SHARE * added


class DenseGroup(nn.Module):
    """Three dense blocks, added in part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        added: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + SHARE * added


class Fusion(nn.Module):
    """What features of the enlarged picture add to those of the decoder."""

    def __init__(self, width: int, num_groups: int) -> None:
        super().__init__()
        self.encode_enc_1 = _res_block(2 * width, width, num_groups)
        self.encode_enc_2 = nn.Sequential(*(DenseGroup(width) for _ in range(NUM_DENSE)))
        self.encode_enc_3 = _res_block(width, width, num_groups)

    def forward(self, of_picture: Tensor, of_decoder: Tensor) -> Tensor:
        """(B, C, h, w) each, to the same."""
        x = self.encode_enc_1(torch.cat([of_picture, of_decoder], dim=1), None)
        added: Tensor = self.encode_enc_3(self.encode_enc_2(x), None)
        return added


class FusingFirstStage(KLFirstStage):
    """Stable Diffusion's first stage, and a second one with fusions that decodes enlargements.

    The second encodes the enlarged picture for its features, and decodes beside them; latents are
    those of the first.
    """

    config_type: ClassVar[type[FusingFirstStageConfig]] = FusingFirstStageConfig
    reads_enlarged: ClassVar[bool] = True
    config: FusingFirstStageConfig
    fusing: Any  # diffusers' own module

    def __init__(self, config: FusingFirstStageConfig) -> None:
        super().__init__(config)
        self.fusing = AutoencoderKL(**diffusers_arguments(config))
        multipliers, groups = DESIGNS[config.name].multipliers, self.fusing.config.norm_num_groups
        self.fusions = nn.ModuleDict(
            {
                str(level): Fusion(config.base_width * multipliers[level], groups)
                for level in FUSED_LEVELS
            }
        )

    def decode_beside(self, pyramid: Pyramid, enlarged: Tensor) -> Tensor:
        """See `Autoencoder.decode_beside`."""
        [latent] = pyramid
        raw = latent * self._std(0) + self._mean(0)
        features, decoder = self._features(enlarged), self.fusing.decoder
        x = decoder.mid_block(decoder.conv_in(self.fusing.post_quant_conv(raw)))
        for level, block in reversed(list(enumerate(reversed(decoder.up_blocks)))):
            for res_block in block.resnets:
                x = res_block(x, None)
            if level in features:
                fusion = self.fusions[str(level)]
                x = x + self.config.fusion_weight * fusion(features[level], x)
            for layer in block.upsamplers or ():
                x = layer(x)
        images: Tensor = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))
        return images.clamp(-1, 1)

    def _features(self, images: Tensor) -> dict[int, Tensor]:
        """Return the encoder's features at the fused levels, before they are halved."""
        x, found = self.fusing.encoder.conv_in(images), {}
        for level, block in enumerate(self.fusing.encoder.down_blocks):
            for res_block in block.resnets:
                x = res_block(x, None)
            if level in FUSED_LEVELS:
                found[level] = x
            if level == FUSED_LEVELS[-1]:
                break
            for layer in block.downsamplers or ():
                x = layer(x)
        return found


def _res_block(width_in: int, width_out: int, num_groups: int) -> ResnetBlock2D:
    without_time: Any = None
    return ResnetBlock2D(
        in_channels=width_in,
        out_channels=width_out,
        temb_channels=without_time,
        groups=num_groups,
        eps=1e-6,
    )
