"""Section `sample`: how pictures are drawn from the trained models."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require, require_positive

_LENGTH = "a length above 0 and up to 0.28"


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideConfig:
    """What guided sampling leads away from: a worse model of the same data (autoguidance), or the
    model itself when it is not told the class (classifier-free guidance)."""

    __pydantic_config__: ClassVar = STRICT
    FIELDS: ClassVar = {
        "unconditional": (),
        "average": ("ema_length", "images_seen"),
        "model": ("path", "sha256"),
    }

    kind: Literal["unconditional", "average", "model"]
    ema_length: float | None = None  # average: of the model's own weights, ...
    images_seen: int | None = None  # ... as it was when it had seen so many images
    path: str | None = None  # model: folder of another one on latents of the same autoencoder
    sha256: str | None = None  # of its model.safetensors

    def __post_init__(self) -> None:
        every = [name for names in self.FIELDS.values() for name in names]
        for name in every:
            value, belongs = getattr(self, name), name in self.FIELDS[self.kind]
            expected = f"a value with kind {self.kind}" if belongs else f"none with {self.kind}"
            require((value is not None) == belongs, f"guide.{name}", value, expected)
        if self.ema_length is not None:
            require(0 < self.ema_length <= 0.28, "guide.ema_length", self.ema_length, _LENGTH)
        if self.images_seen is not None:
            require(self.images_seen > 0, "guide.images_seen", self.images_seen, "above 0")
        digest = self.sha256
        good = digest is None or re.fullmatch("[0-9a-f]{64}", digest) is not None
        require(good, "guide.sha256", digest, "64 digits from 0 to f, as sha256sum prints them")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewsConfig:
    """Pictures that are also shown as they come into being."""

    __pydantic_config__: ClassVar = STRICT

    num_images: int  # the first ones
    frames: int  # of the sampler's way, at most as many as it takes steps
    milliseconds: int  # that the animation shows each frame for

    def __post_init__(self) -> None:
        require_positive(self, "num_images", "frames", "milliseconds")


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
    classes: tuple[str, ...] | None  # seeds take turns through them; null: through all there are
    ema_length: float | None  # of the diffusion model's average, from those it was trained with
    guidance_scale: float  # v_guide + scale (v - v_guide); 1: the guide is not asked
    guide: GuideConfig | None
    guidance_interval: tuple[float, float]  # times, from noise (0) to data (1), of guidance
    clamp_latents: float  # of predicted latents, in standard deviations; 0 for none
    previews: PreviewsConfig | None
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
            f"{_LENGTH}, or null for the average that the model is",
        )
        require(self.classes != (), "classes", self.classes, "names of classes, or null for all")
        require(self.guidance_scale >= 0, "guidance_scale", self.guidance_scale, "0 or more")
        without = self.guidance_scale == 1
        require(without or self.guide is not None, "guide", None, "one, or guidance_scale: 1.0")
        start, end = self.guidance_interval
        good = 0 <= start < end <= 1
        require(good, "guidance_interval", self.guidance_interval, "a start below an end, in 0..1")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(
            self.tile_px is None or (self.tile_px > 0 and self.tile_px % 64 == 0),
            "tile_px",
            self.tile_px,
            "a positive multiple of 64, or null for the whole picture at once",
        )
