"""Section `autoencoder`: the pyramid autoencoder and its training."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import (
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
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.packaged import NetworkName
from pdm.config.training.init_from import InitFromConfig
from pdm.config.training.loop import TrainingConfig


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
    texture: Annotated[
        NonNegative,
        "weight in it of how much features vary in each window, which keeps grain; 0: none",
        Neutral(0.0),
    ] = 0.0

    def __post_init__(self) -> None:
        check_limits(self)
        if self.texture:
            require(self.network is not None, "texture", self.texture, "0 without network")
        for name in ("path", "sha256"):
            value = getattr(self, name)
            expected = "a value without network" if self.network is None else "none with network"
            require((value is None) == (self.network is not None), name, value, expected)
        if self.sha256 is not None:
            require_sha256(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialConfig:
    """A discriminator, trained against the autoencoder: of patches of pixels (PatchGAN), or of the
    features of the perceptual network (Projected GAN)."""

    __pydantic_config__: ClassVar = STRICT

    kind: Annotated[
        Literal["patch", "projected"],
        "what it sees: patch, the pixels; projected, features of perceptual.network",
        Neutral("patch"),
    ] = "patch"
    start_images: Annotated[ImagesOrZero, "images of training before the discriminator begins"]
    weight: Annotated[
        Positive,
        "of its loss (projected), or of its gradient, relative to that of the other losses (patch)",
    ]
    width: Annotated[Width, "channels of its first layer, projected: at the finest stride"]
    num_layers: Annotated[
        Annotated[int, Limits(at_least=1, at_most=14)] | None,
        "patch: layers that halve the sides",
    ] = None
    learning_rate: Annotated[Positive, "its own; warms up over warmup_images from its start"]

    def __post_init__(self) -> None:
        check_limits(self)
        expected = "a number of layers" if self.kind == "patch" else "none"
        expected += f" with kind: {self.kind}"
        require(
            (self.num_layers is not None) == (self.kind == "patch"),
            "num_layers",
            self.num_layers,
            expected,
        )


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
    adversarial: Annotated[AdversarialConfig | None, "a discriminator (PatchGAN or Projected GAN)"]
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
        self._check_discriminator()

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

    def _check_discriminator(self) -> None:
        if self.adversarial is None:
            return
        require(
            self.training.strategy == "ddp",
            "training.strategy",
            self.training.strategy,
            "ddp, or autoencoder.adversarial: null, since no discriminator is trained with fsdp",
        )
        layers = self.adversarial.num_layers
        if layers is None:
            require(
                self.perceptual is not None and self.perceptual.network is not None,
                "adversarial.kind",
                self.adversarial.kind,
                "patch, or adversarial: null, without perceptual.network, whose features a "
                "projected one sees",
            )
            return
        least = 3 * 2**layers  # what two more 4x4 convolutions need
        require(
            (self.crop_px or self._shorter) >= least,
            "adversarial.num_layers",
            layers,
            f"fewer layers: this many need images of at least {least} x {least} px",
        )

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
