"""LDM's first stages (Rombach et al., arXiv:2112.10752, table 8), as pyramids of one level.

The networks are diffusers' `AutoencoderKL` and `VQModel`, which start from the same weights as in
LDM's code (PyTorch's defaults). At a base width of 128 they have the published numbers of
parameters. They share the pyramid autoencoder's trainer.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from diffusers import AutoencoderKL, VQModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor

from pdm import weights
from pdm.config.networks.first_stage import FirstStageConfig, FirstStageName
from pdm.config.records import from_record
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.posterior import LOG_VARIANCE_RANGE, LogVariances, kl_penalty
from pdm.models.levels.pyramid import Pyramid

NUM_GROUPS = 32  # groups of the group norms, as published
MIN_CHANNELS_PER_GROUP = 4  # channels per group in networks too narrow for `NUM_GROUPS`


@dataclass(frozen=True, slots=True)
class Design:
    """A configuration of the LDM release."""

    multipliers: tuple[int, ...]  # multiples of the base width, from full resolution down
    channels: int  # channels of the latent
    num_attending: int  # number of coarsest resolutions with attention in each block
    num_codes: int = 0  # size of the codebook; 0 for KL
    attends_in_the_middle: bool = True

    @property
    def downsampling(self) -> int:
        """Image side divided by latent side."""
        return 1 << (len(self.multipliers) - 1)

    @property
    def share_of_values(self) -> float:
        """Values of the latent divided by values of the picture: c / (3 * downsampling^2)."""
        return self.channels / (3 * self.downsampling**2)


DESIGNS: dict[FirstStageName, Design] = {
    "kl-f4": Design((1, 2, 4), 3, 0),
    "kl-f8": Design((1, 2, 4, 4), 4, 0),
    "kl-f16": Design((1, 1, 2, 2, 4), 16, 1),
    "kl-f32": Design((1, 1, 2, 2, 4, 4), 64, 2),
    "vq-f4": Design((1, 2, 4), 3, 0, 8192),
    "vq-f4-noattn": Design((1, 2, 4), 3, 0, 8192, attends_in_the_middle=False),
    "vq-f8": Design((1, 2, 2, 4), 4, 1, 16384),
    "vq-f16": Design((1, 1, 2, 2, 4), 8, 1, 16384),
}


class FirstStage(Autoencoder):
    """An encoder and a decoder of one latent map. Make one with `build_first_stage`."""

    block_types = (ResnetBlock2D, Attention)
    config_type: ClassVar[type[FirstStageConfig]] = FirstStageConfig
    network: Any  # diffusers' own module

    def __init__(self, config: FirstStageConfig) -> None:
        design = DESIGNS[config.name]
        super().__init__([design.channels], [design.downsampling])
        self.config = config

    def decode_raw(
        self,
        pyramid: Pyramid,
        size: tuple[int, int] | None = None,
        tile_px: int | None = None,
    ) -> Tensor:
        """See `Autoencoder.decode_raw`; `tile_px` is refused."""
        _refuse_tiles(tile_px)
        (latent,) = pyramid
        sides = tuple(side * int(self.level_downsamplings[0]) for side in latent.shape[2:])
        if size is not None and tuple(size) != sides:
            raise ValueError(f"a latent of {tuple(latent.shape)} decodes to {sides}, not to {size}")
        return self._decode_latent(latent)

    @property
    def last_weight(self) -> Tensor:
        """See `Autoencoder.last_weight`."""
        weight: Tensor = self.network.decoder.conv_out.weight
        return weight

    @abstractmethod
    def _decode_latent(self, latent: Tensor) -> Tensor:
        """Decode the network's own latent to images (B, 3, H, W)."""

    def set_statistics(self, means: Sequence[Tensor], stds: Sequence[Tensor]) -> None:
        """See `Autoencoder.set_statistics`.

        With `latent_scale: scalar` all values are divided by one number, their standard deviation,
        and nothing is subtracted (LDM, appendix G).
        """
        if self.config.latent_scale == "scalar":
            variance = stds[0].square().mean() + means[0].var(correction=0)
            means, stds = [torch.zeros_like(means[0])], [variance.sqrt().expand_as(stds[0])]
        super().set_statistics(means, stds)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""
        record, tensors = weights.load(folder, cls.__name__)
        with weights.explain_misfit(folder):
            model = cls(from_record(cls.config_type, record["config"], "autoencoder.baseline"))
            model.load_state_dict(tensors)
        return model.eval()


class KLFirstStage(FirstStage):
    """A Gaussian for each latent value, pulled towards a standard normal by a weak KL term."""

    def __init__(self, config: FirstStageConfig) -> None:
        super().__init__(config)
        self.network = AutoencoderKL(**diffusers_arguments(config))

    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, LogVariances]:
        """See `Autoencoder.posterior`; `tile_px` is refused."""
        _refuse_tiles(tile_px)
        self.level_shapes(*images.shape[2:])
        moments = self.network.quant_conv(self.network.encoder(images))
        mean, log_variance = moments.chunk(2, dim=1)
        return (mean,), (log_variance.clamp(*LOG_VARIANCE_RANGE),)

    def penalty(
        self, means: Pyramid, log_variances: LogVariances
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Autoencoder.penalty`: the KL, with LDM's weight relative to the pixels.

        LDM's code (`contperceptual.py`) takes sums over each picture: absolute differences over
        its 3HW values, the KL over the chw values of its latent. Our trainer takes means over
        values; divided by 3HW, LDM's loss is

            mean |difference| + latent_weight * chw / 3HW * mean KL

        so the mean KL gets `latent_weight` times `Design.share_of_values`, a 48th for kl-f8.
        """
        share = DESIGNS[self.config.name].share_of_values
        return kl_penalty(means, log_variances, [share * self.config.latent_weight])

    def _decode_latent(self, latent: Tensor) -> Tensor:
        images: Tensor = self.network.decoder(self.network.post_quant_conv(latent))
        return images


class VQFirstStage(FirstStage):
    """Latents before quantisation; the codebook is the decoder's first layer (LDM, section 3.1)."""

    def __init__(self, config: FirstStageConfig) -> None:
        super().__init__(config)
        design = DESIGNS[config.name]
        self.network = VQModel(
            **diffusers_arguments(config),
            num_vq_embeddings=design.num_codes,
            vq_embed_dim=design.channels,
            mid_block_add_attention=design.attends_in_the_middle,
        )

    def posterior(self, images: Tensor, tile_px: int | None = None) -> tuple[Pyramid, LogVariances]:
        """See `Autoencoder.posterior`; deterministic, and `tile_px` is refused."""
        _refuse_tiles(tile_px)
        self.level_shapes(*images.shape[2:])
        return (self.network.quant_conv(self.network.encoder(images)),), (None,)

    def penalty(
        self, means: Pyramid, log_variances: LogVariances
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Autoencoder.penalty`: the distance of latents from their nearest codes.

        Mean squares pull latents to codes with a weight of 1, and codes to latents with 0.25, as in
        LDM's released code. The original paper has the weights the other way round (van den Oord et
        al., arXiv:1711.00937, equation 3). LDM's code (`vqperceptual.py`) takes means of the pixels
        here, as our trainer does, so `latent_weight` needs no factor.
        """
        _, loss, _ = self.network.quantize(means[0])
        return self.config.latent_weight * loss, {"codebook": loss}

    def _decode_latent(self, latent: Tensor) -> Tensor:
        quantised, _, _ = self.network.quantize(latent)
        images: Tensor = self.network.decoder(self.network.post_quant_conv(quantised))
        return images


def build_first_stage(config: FirstStageConfig) -> FirstStage:
    """Build the network that a config names, with random weights."""
    if DESIGNS[config.name].num_codes:
        return VQFirstStage(config)
    return KLFirstStage(config)


def diffusers_arguments(config: FirstStageConfig) -> dict[str, Any]:
    """Return the arguments of diffusers' network of a design."""
    design = DESIGNS[config.name]
    count = len(design.multipliers)
    plain, attending = count - design.num_attending, design.num_attending
    return {
        "down_block_types": ["DownEncoderBlock2D"] * plain + ["AttnDownEncoderBlock2D"] * attending,
        "up_block_types": ["AttnUpDecoderBlock2D"] * attending + ["UpDecoderBlock2D"] * plain,
        "block_out_channels": [factor * config.base_width for factor in design.multipliers],
        "layers_per_block": 2,
        "latent_channels": design.channels,
        "norm_num_groups": _num_groups(config.base_width),
    }


def _num_groups(width: int) -> int:
    most = max(1, min(NUM_GROUPS, width // MIN_CHANNELS_PER_GROUP))
    return next(count for count in range(most, 0, -1) if width % count == 0)


def _refuse_tiles(tile_px: int | None) -> None:
    if tile_px is not None:
        raise ValueError(
            f"tile_px is {tile_px}, but LDM's first stages normalise whole maps and cannot work "
            "tile by tile; leave tile_px out"
        )
