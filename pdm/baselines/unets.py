"""LDM's denoising networks behind the interface of the pyramid UNet, for a pyramid of one level.

What a task gives stands beside the latent, or is read by cross-attention, as in LDM. `LatentUNet`
trains in the same trainer and is sampled by the same samplers, whether it predicts the noise, as
published, or the velocity of our flow, as a stronger baseline.
"""

from typing import cast

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.baselines.released_unets import DESIGNS, HEADS, build_unet
from pdm.baselines.trained_steps import rising_times, velocity_of
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.latent_unet import SIDE_MULTIPLES, LatentUNetConfig
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Downsampling, Pyramid
from pdm.models.noise_schedule import NUM_STEPS, betas_of, sampling_times
from pdm.models.text import TextLayer, TextTransformer, encode_text_condition

MAP_CHANNELS = 3  # of maps beside the latent: LDM's 1x1 convolution takes 182 classes to 3


class LatentUNet(Denoiser):
    """Velocity field on pyramids of one level.

    Args:
        config: Design and width.
        level_channels, level_downsamplings: Those of the single level.
    """

    block_types = (ResnetBlock2D, Attention, TextLayer)
    config_type = LatentUNetConfig
    section = "diffusion.baseline"

    def __init__(
        self,
        config: LatentUNetConfig,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
    ) -> None:
        super().__init__(config, level_channels, level_downsamplings)
        if len(level_channels) != 1:
            raise ValueError(f"LDM's networks have one level, not {len(level_channels)}")
        beside = config.condition_channels + (MAP_CHANNELS if config.map_classes else 0)
        channels = {"in_channels": level_channels[0] + beside, "out_channels": level_channels[0]}
        if config.token_width:
            channels["cross_attention_dim"] = config.token_width
        self.network = build_unet(
            channels | DESIGNS[config.name](config.base_width), HEADS.get(config.name)
        )
        self.text = None if config.text is None else TextTransformer(config.text)
        self.map_to_channels = (
            nn.Conv2d(config.map_classes, MAP_CHANNELS, 1, bias=False)
            if config.map_classes
            else None
        )
        times = rising_times(*betas_of(config.name))
        self.register_buffer("times", times, persistent=False)

    def forward(self, pyramid: Pyramid, t: Tensor, condition: Condition = NO_CONDITION) -> Pyramid:
        """Predict the velocity at times t (B,), like the pyramid UNet.

        Raises:
            ValueError: The condition is not what it was built for, or a side of the latent cannot
                be halved often enough.
        """
        condition.check(self.condition_sizes)
        height, width = pyramid[0].shape[2:]
        multiple = SIDE_MULTIPLES[self.config.name]
        if height % multiple or width % multiple:
            raise ValueError(
                f"{self.config.name} halves its latent: sides must be multiples of {multiple}, not "
                f"{height}x{width}"
            )
        beside = self._beside(condition, pyramid[0])
        read = self._text(condition)
        if self.config.predicts == "velocity":
            joined = torch.cat([pyramid[0], *beside], dim=1)
            return (self.network(joined, (NUM_STEPS - 1) * (1 - t), **read).sample,)

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            noise: Tensor = self.network(torch.cat([x, *beside], dim=1), steps, **read).sample
            return noise

        times = cast(Tensor, self.times)
        return (velocity_of(predict, "noise", times, pyramid[0], t),)

    @property
    def condition_sizes(self) -> ConditionConfig | None:
        """See `Denoiser.condition_sizes`."""
        beside, classes = self.config.condition_channels, self.config.map_classes
        if not (beside or classes or self.config.token_width):
            return None
        return ConditionConfig(
            num_classes=0,
            token_width=self.config.token_width,
            map_channels=classes,
            level_channels=(beside,) if beside else (),
            text=self.config.text,
        )

    def own_times(self, steps: int) -> Tensor | None:
        """See `Denoiser.own_times`: LDM's steps where it predicts the noise."""
        if self.config.predicts == "velocity":
            return None
        return sampling_times(*betas_of(self.config.name), steps)

    def encode_text(self, condition: Condition) -> Condition:
        """Put token states in place of word pieces, once for many calls; the same velocity."""
        return encode_text_condition(self.text, condition)

    def _text(self, condition: Condition) -> dict[str, Tensor | None]:
        """Return the tokens as diffusers' network takes them; nothing for one without tokens."""
        if not self.config.token_width:
            return {}
        read = self.encode_text(condition)
        return {"encoder_hidden_states": read.tokens, "encoder_attention_mask": read.mask}

    def _beside(self, condition: Condition, latent: Tensor) -> list[Tensor]:
        """Return the maps that stand beside the latent, at its size."""
        maps = [level.to(latent.dtype) for level in condition.levels or ()]
        if condition.map is not None and self.map_to_channels is not None:
            small = F.adaptive_avg_pool2d(condition.map, (latent.shape[2], latent.shape[3]))
            maps.append(self.map_to_channels(small))
        return maps

    def set_dropout(self, left: Tensor) -> None:
        """Do nothing: LDM's released networks have no dropout."""
