"""Section `sample`: how pictures are drawn from the trained models."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """Number, seeds and sampler."""

    __pydantic_config__: ClassVar = STRICT

    num_images: int
    seed: int  # picture i has the seed `seed + i`, whatever the batch size
    sampler: Literal["euler", "heun", "multistep", "adaptive", "ddim"]
    steps: int  # evaluations of the network: one a step, heun's two; adaptive takes its own
    tolerance: float  # of adaptive, for the error of each of its steps
    eta: float  # of ddim: the share of ancestral sampling's fresh noise
    time_shift: float  # above 1: shorter steps near noise, as larger pictures need
    time_margin: float  # the network is asked at times in [margin, 1 - margin] only
    batch_size: int
    ema_length: float | None  # of the diffusion model's average, from those it was trained with
    clamp_latents: float  # of predicted latents, in standard deviations; 0 for none
    full_size_picture: bool  # also decode one held-out picture at the size of the crops
    tile_px: int | None  # larger pictures go through the autoencoder in tiles of this side

    def __post_init__(self) -> None:
        require_positive(self, "num_images", "steps", "tolerance", "time_shift", "batch_size")
        require(
            0 <= self.time_margin < 0.5, "time_margin", self.time_margin, "0 or more, below 0.5"
        )
        require(self.clamp_latents >= 0, "clamp_latents", self.clamp_latents, "0 or more")
        require(
            self.ema_length is None or 0 < self.ema_length <= 0.28,
            "ema_length",
            self.ema_length,
            "a length above 0 and up to 0.28, or null for the average that the model is",
        )
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(
            self.tile_px is None or (self.tile_px > 0 and self.tile_px % 64 == 0),
            "tile_px",
            self.tile_px,
            "a positive multiple of 64, or null for the whole picture at once",
        )
