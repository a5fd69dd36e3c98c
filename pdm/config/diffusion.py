"""Section `diffusion`: the pyramid UNet and its training by rectified flow."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, TrainingConfig, require, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """The network. Lists run over the resolutions of the latents, finest first."""

    __pydantic_config__: ClassVar = STRICT

    widths: tuple[int, ...]
    blocks: int  # residual blocks per resolution, down and up
    attention_from: int  # attention where the picture's downsampling is at least this
    dropout: tuple[float, ...]  # by resolution, finest first: "decreasing" towards fine detail
    spectral_norm: bool

    def __post_init__(self) -> None:
        require_positive(self, "blocks", "attention_from")
        require(len(self.widths) >= 1, "widths", self.widths, "at least one width")
        require(
            len(self.dropout) == len(self.widths),
            "dropout",
            self.dropout,
            f"{len(self.widths)} rates, as many as widths",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """What is trained, and on which timesteps."""

    __pydantic_config__: ClassVar = STRICT

    model: UNetConfig
    timesteps: Literal["uniform", "logit_normal"]
    level_loss_weights: tuple[float, ...]  # coarse to fine
    training: TrainingConfig

    def __post_init__(self) -> None:
        weights = self.level_loss_weights
        require(
            all(weight >= 0 for weight in weights) and sum(weights) > 0,
            "level_loss_weights",
            weights,
            "weights of at least 0, not all 0",
        )
