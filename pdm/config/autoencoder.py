"""Section `autoencoder`: the pyramid autoencoder and its training."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.common import STRICT, Neutral, TrainingConfig
from pdm.config.first_stage import FirstStageConfig
from pdm.config.init_from import InitFromConfig
from pdm.config.limits import (
    Depth,
    Downsampling,
    Fraction,
    ImagesOrZero,
    Limits,
    NonNegative,
    Positive,
    SidePx,
    Width,
    check_limits,
    require,
    require_sha256,
)
from pdm.config.networks import NetworkName

DropoutRate = Annotated[float, Limits(at_least=0, below=1)]
Skips = Literal["res_skip", "residual", "input_output"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelConfig:
    """One level of the pyramid of latents."""

    __pydantic_config__: ClassVar = STRICT

    downsampling: Annotated[
        Downsampling | Literal["global"], "image side / latent side; global: one 1x1 latent"
    ]
    channels: Annotated[Width, "values at each place of the latent"]
    kl_weight: Annotated[NonNegative, "of the mean KL per value to a standard normal; 0: no noise"]

    def __post_init__(self) -> None:
        check_limits(self)
        factor = self.downsampling
        good = factor == "global" or factor & (factor - 1) == 0
        require(good, "downsampling", factor, '"global" or a power of two')


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderModelConfig:
    """The network. Widths and dropout rates are listed by downsampling: 1, 2, 4, ..."""

    __pydantic_config__: ClassVar = STRICT

    levels: Annotated[tuple[LevelConfig, ...], "coarse to fine; the first is global"]
    encoder_widths: Annotated[tuple[Width, ...], "channels at downsampling 1, 2, 4, ..."]
    decoder_widths: Annotated[tuple[Width, ...], "channels at downsampling 1, 2, 4, ..."]
    encoder_blocks: Annotated[Depth, "residual blocks per resolution"]
    decoder_blocks: Annotated[Depth, "residual blocks per resolution"]
    norm: Annotated[
        Literal["group", "pixel"],
        "group norm, or over each pixel's channels, the same at any image size",
    ]
    attention_from: Annotated[
        Downsampling, "spatial-channel attention where downsampling is at least this"
    ]
    attention_ratio: Annotated[
        Literal["shape", "equal"],
        "spatial to channel attention, by their sizes (shape) or 1 : 1 (equal)",
    ]
    encoder_dropout: Annotated[
        tuple[DropoutRate, ...], "at downsampling 1, 2, 4, ...; falls towards fine detail"
    ]
    decoder_dropout: Annotated[tuple[DropoutRate, ...], "at downsampling 1, 2, 4, ..."]
    encoder_spectral_norm: Annotated[bool, "divide weights by their largest singular value"]
    decoder_spectral_norm: Annotated[bool, "divide weights by their largest singular value"]
    skips: Annotated[
        Skips, "residual: around each block; input_output: from and to the image; res_skip: both"
    ]
    orthogonal_levels: Annotated[
        bool, "remove from each level what the next coarser one could hold", Neutral(False)
    ]
    residual_levels: Annotated[
        bool, "subtract from each level's latents what the coarser ones predict", Neutral(False)
    ]

    @property
    def downsampling(self) -> int:
        """Side of an image divided by the side of its coarsest map."""
        return int(2 ** (len(self.encoder_widths) - 1))

    def __post_init__(self) -> None:
        check_limits(self)
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
    """A perceptual distance by a network whose weights a package ships, or by a file from the user,
    such as LPIPS."""

    __pydantic_config__: ClassVar = STRICT

    network: Annotated[
        NetworkName | None, "a network by its name (`pyramid networks list`)", Neutral(None)
    ] = None
    path: Annotated[
        str | None, "instead: a TorchScript module, two batches in [-1, 1] to their distances"
    ] = None
    sha256: Annotated[str | None, "of the file"] = None
    weight: Annotated[Positive, "beside the pixel loss"]

    def __post_init__(self) -> None:
        check_limits(self)
        for name in ("path", "sha256"):
            value = getattr(self, name)
            expected = "a value without network" if self.network is None else "none with network"
            require((value is None) == (self.network is not None), name, value, expected)
        if self.sha256 is not None:
            require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialConfig:
    """A discriminator of patches (PatchGAN), trained against the autoencoder."""

    __pydantic_config__: ClassVar = STRICT

    start_images: Annotated[ImagesOrZero, "images of training before the discriminator begins"]
    weight: Annotated[
        Positive, "its gradient at the last layer, relative to that of the other losses"
    ]
    width: Annotated[Width, "channels of its first layer"]
    num_layers: Annotated[
        Annotated[int, Limits(at_least=1, at_most=14)], "layers that halve the sides"
    ]
    learning_rate: Annotated[Positive, "its own; warms up over warmup_images from its start"]

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """Which network is trained, at which image size, with which losses."""

    __pydantic_config__: ClassVar = STRICT

    image_height_px: Annotated[SidePx, "crops are reduced to this size for training"]
    image_width_px: Annotated[SidePx, "crops are reduced to this size for training"]
    model: Annotated[AutoencoderModelConfig | None, "the pyramid autoencoder"]
    baseline: Annotated[
        FirstStageConfig | None, "one of LDM's first stages, trained instead of the model"
    ]
    init_from: Annotated[
        InitFromConfig | None, "a trained model to fine-tune; null: random weights", Neutral(None)
    ]
    pixel_loss: Annotated[Literal["l1", "charbonnier"], "l1, or charbonnier, a smooth l1"]
    perceptual: Annotated[
        PerceptualConfig | None, "distance of features of a trained network, or LPIPS from a file"
    ]
    adversarial: Annotated[AdversarialConfig | None, "a discriminator (PatchGAN)"]
    gradient_loss_weight: Annotated[NonNegative, "multi-scale gradient loss"]
    partial_loss_weight: Annotated[
        NonNegative, "loss of the image decoded from a random number of levels"
    ]
    equivariance_loss_weight: Annotated[
        NonNegative, "EQ-VAE: reduced latents should decode to the reduced image"
    ]
    horizontal_flip: Annotated[Fraction, "probability of mirroring an image"]
    crop_px: Annotated[
        SidePx | None, "side of a random window, the only part decoded and scored; null: all"
    ]
    close_up: Annotated[
        Fraction, "probability of a crop from a larger version of the image (2x, 4x, ...)"
    ]
    training: Annotated[TrainingConfig, "how it is trained"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(
            self.model is not None or self.baseline is not None,
            "model",
            None,
            "a network, or a baseline",
        )
        factor = self.network.downsampling
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
                "ddp, since the discriminator's weight needs all of the autoencoder's last layer",
            )
            least = 3 * 2**self.adversarial.num_layers  # what two more 4x4 convolutions need
            require(
                (self.crop_px or self._shorter) >= least,
                "adversarial.num_layers",
                self.adversarial.num_layers,
                f"fewer layers: this many need images of at least {least} x {least} px",
            )

    @property
    def network(self) -> AutoencoderModelConfig | FirstStageConfig:
        """The network to train: the baseline, if there is one, or the model."""
        network = self.baseline or self.model
        assert network is not None
        return network

    @property
    def needs_length(self) -> str:
        """See `TrainingConfig.needs_length`."""
        return self.training.needs_length

    @property
    def _shorter(self) -> int:
        return min(self.image_height_px, self.image_width_px)

    @property
    def decodes_parts(self) -> bool:
        """Whether parts of an image are encoded and decoded as in the whole image."""
        network = self.network
        return isinstance(network, AutoencoderModelConfig) and network.norm == "pixel"

    def _check_crop(self) -> None:
        if self.crop_px is None:
            return
        require(
            0 < self.crop_px <= self._shorter,
            "crop_px",
            self.crop_px,
            f"a number from 1 to the shorter side of the images ({self._shorter}), or null",
        )
        require(
            self.decodes_parts,
            "crop_px",
            self.crop_px,
            "null: only a pyramid autoencoder with norm: pixel decodes parts of an image",
        )
        require(
            self.equivariance_loss_weight == 0,
            "equivariance_loss_weight",
            self.equivariance_loss_weight,
            "0 with crop_px, since it decodes whole images",
        )
