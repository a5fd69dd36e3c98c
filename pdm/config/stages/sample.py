"""Section `sample`: how images are sampled from the trained models."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Mark, Neutral
from pdm.config.file import FileConfig
from pdm.config.limits import (
    Count,
    EmaLength,
    Fraction,
    Images,
    Limits,
    NonNegative,
    Positive,
    Seed,
    SidePx,
    check_limits,
    require,
    require_sha256,
)
from pdm.config.sampling.any_size import MAX_SIDE, MIN_SIDE, Colour, EnlargerConfig
from pdm.config.sampling.prompts import parse_prompts
from pdm.config.sampling.tiling import Mode

NOT_IN_SAMPLES = Mark.NOT_IN_SAMPLES
AnySide = Annotated[int, Limits(at_least=MIN_SIDE, at_most=MAX_SIDE)]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuideConfig:
    """The guide, which guidance steers away from: a worse model of the same data (autoguidance), or
    the model itself without its condition (classifier-free guidance)."""

    __pydantic_config__: ClassVar = STRICT
    FIELDS: ClassVar = {
        "unconditional": (),
        "ema": ("ema_length", "images_seen", "training_share"),
        "model": ("path", "sha256"),
    }
    PROGRESS: ClassVar = ("images_seen", "training_share")  # one of them

    kind: Annotated[
        Literal["unconditional", "ema", "model"],
        "the model without its condition, an EMA of its own weights, or another model",
    ]
    ema_length: Annotated[EmaLength | None, "ema: its length"] = None
    images_seen: Annotated[Images | None, "ema: as it was after this many images"] = None
    training_share: Annotated[
        Fraction | None, "ema: instead, as it was after about this share of its training"
    ] = None
    path: Annotated[str | None, "model: its folder, trained on the same autoencoder's latents"] = (
        None
    )
    sha256: Annotated[str | None, "model: of its model.safetensors"] = None

    def __post_init__(self) -> None:
        check_limits(self)
        every = [name for names in self.FIELDS.values() for name in names]
        for name in every:
            value, belongs = getattr(self, name), name in self.FIELDS[self.kind]
            expected = f"a value with kind {self.kind}" if belongs else f"none with {self.kind}"
            if name not in self.PROGRESS or not belongs:
                require((value is not None) == belongs, name, value, expected)
        if self.kind == "ema":
            one = (self.images_seen is None) != (self.training_share is None)
            expected = "a number, or a training_share, not both"
            require(one, "images_seen", self.images_seen, expected)
        if self.sha256 is not None:
            require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewsConfig:
    """Some samples as they form, step by step."""

    __pydantic_config__: ClassVar = STRICT

    num_images: Annotated[Count, "the first samples"]
    frames: Annotated[Count, "frames of each, at most the sampler's steps"]
    milliseconds: Annotated[
        Annotated[int, Limits(at_least=1, at_most=655_350)], "for each frame of the animation"
    ]  # a GIF stores hundredths of a second in 16 bits

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleConfig:
    """Number, seeds and sampler."""

    __pydantic_config__: ClassVar = STRICT

    num_images: Annotated[Count, "samples to draw", NOT_IN_SAMPLES]
    seed: Annotated[Seed, "image i has the seed `seed + i`, with any batch size", NOT_IN_SAMPLES]
    sampler: Annotated[
        Literal["euler", "heun", "multistep", "adaptive", "ddim"],
        "euler, heun, multistep, adaptive (chooses its steps) or ddim (adds noise)",
    ]
    steps: Annotated[
        Count,
        "sampler steps; heun and guidance each double evaluations, adaptive chooses its own",
    ]
    tolerance: Annotated[Positive, "adaptive: error of each step"]
    eta: Annotated[Fraction, "ddim: share of fresh noise; 1 is ancestral sampling"]
    time_shift: Annotated[Positive, "above 1: shorter steps near noise, as larger images need"]
    time_margin: Annotated[
        Annotated[float, Limits(at_least=0, below=0.5)],
        "the network is evaluated at times in [margin, 1 - margin] only",
    ]
    precision: Annotated[
        Literal["float32", "bfloat16"],
        "float32 or bfloat16, of the networks' layers; steps and noise stay float32",
        Neutral("float32"),
    ]
    batch_size: Annotated[Count, "images sampled at once", NOT_IN_SAMPLES]
    classes: Annotated[
        tuple[str, ...] | None, "classes to draw, in turn; null: all that the model knows"
    ]
    prompts: Annotated[
        tuple[str, ...] | FileConfig | None,
        "of text: drawn in turn, or a file with one per line; null: captions of held-out images",
        NOT_IN_SAMPLES,  # each sample names its own
    ]
    negative_prompt: Annotated[
        str | None, "of text: what guidance steers away from; null: nothing", NOT_IN_SAMPLES
    ]
    layouts: Annotated[
        FileConfig | None,
        "of boxes: a file of layouts, drawn in turn; null: those of held-out images",
        NOT_IN_SAMPLES,  # each sample names its own
        Neutral(None),
    ]
    ema_length: Annotated[
        EmaLength | None, "null: the EMA in the model file; or one of the saved EMAs' length"
    ]
    guidance_scale: Annotated[NonNegative, "v_guide + scale (v - v_guide); 1: no guidance"]
    guide: Annotated[GuideConfig | None, "the model that guidance steers away from"]
    guidance_interval: Annotated[
        tuple[Fraction, Fraction], "times with guidance, from noise (0) to data (1)"
    ]
    clamp_latents: Annotated[
        NonNegative, "limit of predicted latents, in standard deviations; 0: none"
    ]
    previews: Annotated[
        PreviewsConfig | None, "also write some samples as they form", NOT_IN_SAMPLES
    ]
    full_size_picture: Annotated[
        bool, "also reconstruct one held-out image at the size of the crops", NOT_IN_SAMPLES
    ]
    tile_px: Annotated[
        SidePx | None,
        "larger images go through the autoencoder in tiles; null: whole",
        NOT_IN_SAMPLES,
    ]

    size: Annotated[
        tuple[AnySide, AnySide] | None,
        "[width, height] of the samples; null: the size of the training",
    ]
    enlarger: Annotated[
        EnlargerConfig | None, "with size: other models that enlarge; null: the model itself"
    ]
    tiling: Annotated[
        Mode, "with size: how tiles are sampled: fstd, none, multidiffusion, mixture or spot"
    ]
    colour: Annotated[Colour, "with size: how colours are kept: wavelet, adain or none"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(self.classes != (), "classes", self.classes, "names of classes, or null for all")
        none = isinstance(self.prompts, tuple) and not parse_prompts(self.prompts)
        require(not none, "prompts", self.prompts, "prompts, a file, or null")
        without = self.guidance_scale == 1
        require(without or self.guide is not None, "guide", None, "one, or guidance_scale: 1.0")
        needless = self.enlarger is not None and self.size is None
        require(not needless, "enlarger", self.enlarger, "null without a size")
        start, end = self.guidance_interval
        good = start < end
        require(good, "guidance_interval", self.guidance_interval, "a start below an end")
        require(
            self.tile_px is None or self.tile_px % 64 == 0,
            "tile_px",
            self.tile_px,
            "a positive multiple of 64, or null for whole images at once",
        )
