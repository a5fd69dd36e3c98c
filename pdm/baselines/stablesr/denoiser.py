"""StableSR's networks as one denoiser: the velocity of a latent beside that of an enlarged picture.

It reads the empty text, as in StableSR's and Any-Size-Diffusion's code, whose token states are a
part of the weights.
"""

from typing import ClassVar, cast

import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor

from pdm.baselines.stablesr.blocks import ResBlock, SelfAttention
from pdm.baselines.stablesr.time_aware_encoder import TimeAwareEncoder
from pdm.baselines.stablesr.unet import ModulatedUNet
from pdm.baselines.trained_steps import rising_times, velocity_of
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.stablesr import StableSRConfig
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Downsampling, Pyramid
from pdm.models.noise_schedule import respaced_times

BETAS = 0.00085, 0.012  # first and last, of Stable Diffusion
TOKENS = 77  # of CLIP's text encoder
SIDE_MULTIPLE = 8  # of latents, which are halved three times


class StableSR(Denoiser):
    """Velocity field on pyramids of one level; its condition is the latent of the picture to
    restore, enlarged to the same size.

    Args:
        config: Sizes.
        level_channels, level_downsamplings: Those of the single level.

    Raises:
        ValueError: There is more than one level.
    """

    block_types = (ResBlock, SelfAttention, Transformer2DModel)
    config_type = StableSRConfig
    section = "stablesr"
    begins_at_image: ClassVar[bool] = True
    config: StableSRConfig

    def __init__(
        self,
        config: StableSRConfig,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
    ) -> None:
        super().__init__(config, level_channels, level_downsamplings)
        if len(level_channels) != 1:
            raise ValueError(f"StableSR has one level, not {len(level_channels)}")
        self.unet = ModulatedUNet(config, level_channels[0])
        self.encoder = TimeAwareEncoder(config, level_channels[0])
        self.register_buffer("empty_text", torch.zeros(TOKENS, config.text_width))
        self.register_buffer("times", rising_times(*BETAS), persistent=False)

    def forward(self, pyramid: Pyramid, t: Tensor, condition: Condition = NO_CONDITION) -> Pyramid:
        """Predict the velocity at times t (B,).

        Raises:
            ValueError: The condition is not one encoded picture, or a side of the latent is not a
                multiple of 8.
        """
        condition.check(self.condition_sizes)
        assert condition.levels is not None
        [latent], [enlarged] = pyramid, condition.levels
        height, width = latent.shape[2:]
        if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE:
            raise ValueError(
                f"StableSR halves its latent three times: sides must be multiples of "
                f"{SIDE_MULTIPLE}, not {height}x{width}"
            )
        text = cast(Tensor, self.empty_text).expand(len(latent), -1, -1)

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            maps = self.encoder(enlarged.to(x.dtype), steps)
            predicted: Tensor = self.unet(x, steps, text, maps)
            return predicted

        times = cast(Tensor, self.times)
        return (velocity_of(predict, self.config.predicts, times, latent, t),)

    @property
    def condition_sizes(self) -> ConditionConfig:
        """See `Denoiser.condition_sizes`."""
        channels = self.facts["level_channels"][0]
        return ConditionConfig(
            num_classes=0, token_width=0, map_channels=0, level_channels=(channels,)
        )

    def own_times(self, steps: int) -> Tensor:
        """See `Denoiser.own_times`."""
        return respaced_times(*BETAS, steps)

    def set_dropout(self, left: Tensor) -> None:
        """Do nothing: its dropout is 0, as published."""
