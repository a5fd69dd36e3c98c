"""Section `autoencoder`: the pyramid autoencoder and its training."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, TrainingConfig, require, require_fraction, require_positive
from pdm.config.first_stage import FirstStageConfig

Skips = Literal["res_skip", "residual", "input_output"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelConfig:
    """One level of the pyramid of latents."""

    __pydantic_config__: ClassVar = STRICT

    downsampling: int | Literal["global"]  # image side / latent side; "global" is one 1x1 latent
    channels: int
    kl_weight: float  # of the mean KL per value to a standard normal; 0: deterministic, no noise

    def __post_init__(self) -> None:
        require_positive(self, "channels")
        require(self.kl_weight >= 0, "kl_weight", self.kl_weight, "a number of at least 0")
        if self.downsampling != "global":
            factor = self.downsampling
            require(
                factor >= 1 and factor & (factor - 1) == 0,
                "downsampling",
                factor,
                '"global" or a power of two',
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderModelConfig:
    """The network. Widths and dropout rates are listed by downsampling: 1, 2, 4, ..."""

    __pydantic_config__: ClassVar = STRICT

    levels: tuple[LevelConfig, ...]  # coarse to fine; the first is global
    encoder_widths: tuple[int, ...]
    decoder_widths: tuple[int, ...]
    encoder_blocks: int  # residual blocks per resolution
    decoder_blocks: int
    norm: Literal["group", "pixel"]  # pixel: over a pixel's channels, alike at any size of picture
    attention_from: int  # spatial-channel attention where downsampling is at least this
    attention_ratio: Literal["shape", "equal"]  # pixels against channels: by their counts, or 1 : 1
    encoder_dropout: tuple[float, ...]  # grows with downsampling ("decreasing" towards fine detail)
    decoder_dropout: tuple[float, ...]
    encoder_spectral_norm: bool
    decoder_spectral_norm: bool
    skips: Skips  # around a block, past all blocks from and to the picture, or both ("res_skip")

    def __post_init__(self) -> None:
        require_positive(self, "encoder_blocks", "decoder_blocks", "attention_from")
        factors = [level.downsampling for level in self.levels]
        require(
            len(factors) >= 2 and factors[0] == "global" and "global" not in factors[1:],
            "levels",
            factors,
            'a "global" level first and at least one more',
        )
        fine = [factor for factor in factors if factor != "global"]
        require(
            fine == sorted(set(fine), reverse=True),
            "levels",
            factors,
            "levels from coarse to fine (downsampling falling)",
        )
        coarsest = 2 ** (len(self.encoder_widths) - 1)
        require(
            fine[0] == coarsest,
            "encoder_widths",
            self.encoder_widths,
            f"one width for each downsampling from 1 to that of the coarsest level ({fine[0]})",
        )
        for name in ("decoder_widths", "encoder_dropout", "decoder_dropout"):
            require(
                len(getattr(self, name)) == len(self.encoder_widths),
                name,
                getattr(self, name),
                f"{len(self.encoder_widths)} values, as many as encoder_widths",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PerceptualConfig:
    """A perceptual distance such as LPIPS, from a file of the user's."""

    __pydantic_config__: ClassVar = STRICT

    path: str  # a TorchScript module: two batches in [-1, 1] to their distances
    sha256: str  # of the file
    weight: float  # beside the pixel loss

    def __post_init__(self) -> None:
        require_positive(self, "weight")
        require(
            re.fullmatch("[0-9a-f]{64}", self.sha256) is not None,
            "sha256",
            self.sha256,
            "64 digits from 0 to f, as sha256sum prints them",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialConfig:
    """A discriminator of patches (PatchGAN), trained against the autoencoder."""

    __pydantic_config__: ClassVar = STRICT

    start_images: int  # of the training; until then the discriminator rests
    weight: float  # of its pull, against that of all else that judges the whole reconstruction
    width: int  # of its first layer
    num_layers: int  # that halve the sides
    learning_rate: float  # its own; it rises from its start over warmup_images

    def __post_init__(self) -> None:
        require_positive(self, "weight", "width", "num_layers", "learning_rate")
        require(self.start_images >= 0, "start_images", self.start_images, "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """What is trained, on pictures of which size, with which losses."""

    __pydantic_config__: ClassVar = STRICT

    image_height_px: int  # the crops are reduced to this size for training
    image_width_px: int
    model: AutoencoderModelConfig
    baseline: FirstStageConfig | None  # trained in place of `model`, on the same terms
    pixel_loss: Literal["l1", "charbonnier"]
    perceptual: PerceptualConfig | None
    adversarial: AdversarialConfig | None
    gradient_loss_weight: float  # multi-scale gradient term, beside the pixel loss
    partial_loss_weight: float  # of what a random prefix of the levels decodes to
    equivariance_loss_weight: float  # EQ-VAE: latents scaled down decode to the scaled picture
    horizontal_flip: float  # probability
    crop_px: int | None  # side of the window of the picture that is decoded and judged, or all
    close_up: float  # probability of a crop of this size from a larger version of the picture
    training: TrainingConfig

    def __post_init__(self) -> None:
        require_positive(self, "image_height_px", "image_width_px")
        require_fraction(self, "horizontal_flip", "close_up")
        for name in ("gradient_loss_weight", "partial_loss_weight", "equivariance_loss_weight"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number of at least 0")
        factor = 2 ** (len(self.model.encoder_widths) - 1)
        halves = 2 if self.equivariance_loss_weight else 1
        for name in ("image_height_px", "image_width_px"):
            require(
                getattr(self, name) % (halves * factor) == 0,
                name,
                getattr(self, name),
                f"a multiple of the largest downsampling ({factor})"
                + (", and of twice as much for equivariance_loss_weight" if halves == 2 else ""),
            )
        self._check_crop()
        if self.adversarial:
            require(
                self.training.strategy == "ddp",
                "training.strategy",
                self.training.strategy,
                "ddp, since the discriminator looks at the autoencoder's whole last weight",
            )
            least = 3 * 2**self.adversarial.num_layers  # what two more 4x4 convolutions need
            require(
                (self.crop_px or self._shorter) >= least,
                "adversarial.num_layers",
                self.adversarial.num_layers,
                f"fewer layers: so many need pictures of at least {least} x {least} px",
            )

    @property
    def _shorter(self) -> int:
        return min(self.image_height_px, self.image_width_px)

    def _check_crop(self) -> None:
        if self.crop_px is None:
            return
        require(
            0 < self.crop_px <= self._shorter,
            "crop_px",
            self.crop_px,
            f"a number from 1 to the shorter side of the pictures ({self._shorter}), or null",
        )
        require(
            self.baseline is None and self.model.norm == "pixel",
            "crop_px",
            self.crop_px,
            "null: only a pyramid autoencoder with norm: pixel decodes parts of a picture",
        )
        require(
            self.equivariance_loss_weight == 0,
            "equivariance_loss_weight",
            self.equivariance_loss_weight,
            "0 with crop_px: it decodes whole pictures",
        )
