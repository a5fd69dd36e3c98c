"""Section `diffusion`: the pyramid UNet and its training by rectified flow."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, TrainingConfig, require, require_positive
from pdm.config.latent_unet import LatentUNetConfig

Resampling = Literal["box", "fir"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionConfig:
    """What the network is told beside the noisy latents; 0 for what it is not."""

    __pydantic_config__: ClassVar = STRICT

    num_classes: int
    token_width: int
    map_channels: int

    def __post_init__(self) -> None:
        for name in ("num_classes", "token_width", "map_channels"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """The network. Lists run over the resolutions of the latents, finest first."""

    __pydantic_config__: ClassVar = STRICT

    widths: tuple[int, ...]
    blocks: tuple[int, ...]  # residual blocks by resolution, down, and as many up
    embedding_width: int  # of the vector of time and global latent that modulates every block
    branches: bool  # each level enters and leaves at its own resolution; or all at the finest
    # a time for each level: where on the way from noise to data it runs, coarse to fine; or null
    windows: tuple[tuple[float, float], ...] | None
    input_stream: bool  # each resolution sees the means of all finer levels, too
    output_stream: bool  # each level's velocity is carried on to the next finer one
    resampling: Resampling  # means of 2x2, or NCSN++'s filter of 4x4
    attention_from: int  # attention where the picture's downsampling is at least this
    attention_ratio: Literal["shape", "equal", "spatial"]  # of pixels to channels, or pixels alone
    dropout: tuple[float, ...]  # by resolution, finest first: "decreasing" towards fine detail
    dropout_falls: bool  # and with the progress of the training, down to none
    spectral_norm: bool
    condition: ConditionConfig | None

    def __post_init__(self) -> None:
        require_positive(self, "embedding_width", "attention_from")
        require(self.embedding_width % 4 == 0, "embedding_width", self.embedding_width, "4, 8, ...")
        require(len(self.widths) >= 1, "widths", self.widths, "at least one width")
        require(min(self.blocks, default=0) > 0, "blocks", self.blocks, "numbers above 0")
        for name in ("blocks", "dropout"):
            values = getattr(self, name)
            expected = f"{len(self.widths)} numbers, as many as widths"
            require(len(values) == len(self.widths), name, values, expected)
        if not self.branches:
            alone = not (self.windows or self.input_stream or self.output_stream)
            require(alone, "branches", False, "true with windows or a stream")
        self._check_windows()

    @property
    def level_times(self) -> bool:
        """Whether each level has a time of its own."""
        return self.windows is not None

    def _check_windows(self) -> None:
        windows = self.windows
        if windows is not None:
            good = len(windows) > 0 and all(0 <= start < end <= 1 for start, end in windows)
            require(good, "windows", windows, "a start below an end, both from 0 to 1")
            starts, ends = zip(*windows, strict=True)
            risen = list(starts) == sorted(starts) and list(ends) == sorted(ends)
            require(risen, "windows", windows, "no level that begins or ends before a coarser one")
            whole = starts[0] == 0 and ends[-1] == 1
            require(whole, "windows", windows, "the first to begin at 0, the last to end at 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """What is trained, and on which timesteps."""

    __pydantic_config__: ClassVar = STRICT
    MAY_CHANGE: ClassVar = ("score_images",)  # as in `TrainingConfig`

    model: UNetConfig
    baseline: LatentUNetConfig | None  # LDM's network instead of the model, on a single latent
    timesteps: Literal["uniform", "logit_normal", "ldm"]
    time_shift: float  # above 1: more times near noise, as larger pictures need
    time_margin: float  # uniform times reach this far beyond noise and data
    level_loss_weights: tuple[float, ...]  # coarse to fine
    condition_dropout: (
        float  # share of pictures of which nothing is said, where there is a condition
    )
    score_images: int  # drawn at each checkpoint, and compared with held-out ones; 0: none
    training: TrainingConfig

    def __post_init__(self) -> None:
        weights = self.level_loss_weights
        require(
            all(weight >= 0 for weight in weights) and sum(weights) > 0,
            "level_loss_weights",
            weights,
            "weights of at least 0, not all 0",
        )
        require_positive(self, "time_shift")
        dropped = self.condition_dropout
        require(0 <= dropped < 1, "condition_dropout", dropped, "0 or more, below 1")
        count = self.score_images
        require(count == 0 or count >= 2, "score_images", count, "0, or 2 or more")
        windows, count = self.model.windows, len(weights)
        require(windows is None or len(windows) == count, "windows", windows, f"{count} windows")
        alone = windows is None or self.baseline is None
        require(alone, "model.windows", windows, "null with a baseline")
        margin = self.time_margin
        require(0 <= margin < 0.5, "time_margin", margin, "0 or more, below 0.5")
        reaches = self.timesteps == "uniform" and not self.model.level_times
        expected = "0, except for uniform times that all levels share"
        require(margin == 0 or reaches, "time_margin", margin, expected)
        noise = self.baseline is not None and self.baseline.predicts == "noise"
        expected = "ldm where the baseline predicts noise, and nowhere else"
        require((self.timesteps == "ldm") == noise, "timesteps", self.timesteps, expected)
        require(noise is False or self.time_shift == 1, "time_shift", self.time_shift, "1 with ldm")
