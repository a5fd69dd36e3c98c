"""Section `diffusion`: the network to train, its condition, and how it is trained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import MAY_CHANGE, STRICT, Neutral
from pdm.config.limits import CountOrZero, Limits, NonNegative, Positive, check_limits, require
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.latent_unet import TOKEN_READERS, LatentUNetConfig
from pdm.config.networks.level_times import LevelTimesConfig
from pdm.config.networks.unet import UNetConfig, Windows
from pdm.config.task import ClassTask, TaskConfig, UnconditionalTask
from pdm.config.training.distil import DistilConfig
from pdm.config.training.init_from import InitFromConfig
from pdm.config.training.loop import TrainingConfig
from pdm.config.training.lora import LoraConfig
from pdm.counts import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """The network to train, and its timesteps."""

    __pydantic_config__: ClassVar = STRICT

    task: Annotated[
        TaskConfig | None,
        "the condition that it learns; null: none, or classes if the model takes them",
        Neutral(None),
    ]
    model: Annotated[UNetConfig | None, "the pyramid UNet"]
    baseline: Annotated[
        LatentUNetConfig | None, "one of LDM's networks, trained instead, on a single latent"
    ]
    init_from: Annotated[
        InitFromConfig | None, "a trained model to fine-tune; null: random weights", Neutral(None)
    ]
    lora: Annotated[
        LoraConfig | None,
        "train only low-rank adapters of init_from; null: all weights",
        Neutral(None),
    ]
    timesteps: Annotated[
        Literal["uniform", "logit_normal", "ldm"],
        "uniform, logit_normal, or ldm where a baseline predicts noise",
    ]
    time_shift: Annotated[Positive, "above 1: more times near noise, as larger images need"]
    time_margin: Annotated[
        Annotated[float, Limits(at_least=0, below=0.5)],
        "uniform times reach this far beyond noise and data",
    ]
    finished_level_noise: Annotated[
        Annotated[float, Limits(at_least=0, below=1)],
        "largest share of noise on finished levels in training",
        Neutral(0.0),
    ]
    level_loss_weights: Annotated[
        tuple[NonNegative, ...], "loss weight of each level, coarse to fine"
    ]
    condition_dropout: Annotated[
        Annotated[float, Limits(at_least=0, below=1)],
        "probability of dropping an image's condition in training, for classifier-free guidance",
    ]
    distil: Annotated[
        DistilConfig | None,
        "null: none; or how the finished flow is distilled for few steps",
        Neutral(None),
    ]
    score_images: Annotated[
        CountOrZero, "images sampled and scored at each checkpoint; 0: none", MAY_CHANGE
    ]
    training: Annotated[TrainingConfig, "how it is trained"]

    def __post_init__(self) -> None:
        check_limits(self)
        weights = self.level_loss_weights
        require(
            sum(weights) > 0,
            "level_loss_weights",
            weights,
            "weights that are not all 0",
        )
        require(self.score_images != 1, "score_images", self.score_images, "0, or 2 or more")
        require(
            self.model is not None or self.baseline is not None,
            "model",
            None,
            "a network, or a baseline",
        )
        self._check_task()
        windows, count = self.model.windows if self.model else None, len(weights)
        require(
            windows is None or len(windows) == count, "windows", windows, counted(count, "window")
        )
        self._check_level_times(count)
        margin = self.time_margin
        reaches = self.timesteps == "uniform" and self.schedule is None
        expected = "0, except for uniform times that all levels share"
        require(margin == 0 or reaches, "time_margin", margin, expected)
        noise = self.baseline is not None and self.baseline.predicts == "noise"
        expected = "ldm where the baseline predicts noise, and nowhere else"
        require((self.timesteps == "ldm") == noise, "timesteps", self.timesteps, expected)
        require(noise is False or self.time_shift == 1, "time_shift", self.time_shift, "1 with ldm")
        self._check_distil(noise)
        self._check_lora()

    @property
    def data_levels(self) -> tuple[int, ...]:
        """Numbers of the levels whose data the network predicts, in place of their velocity."""
        predicts = self.network.predicts if isinstance(self.network, UNetConfig) else None
        return tuple(level for level, what in enumerate(predicts or ()) if what == "data")

    def _check_distil(self, predicts_noise: bool) -> None:
        distil = self.distil
        if distil is None:
            return
        expected = "null, where a baseline predicts noise: only a flow can be distilled"
        require(not predicts_noise, "distil", distil, expected)
        share = self.training.num_workers * self.training.accumulation
        expected = f"a multiple of num_workers x accumulation ({share})"
        fits = distil.batch_size % share == 0
        require(fits, "distil.batch_size", distil.batch_size, expected)

    def _check_lora(self) -> None:
        if self.lora is None:
            return
        expected = "a trained model, whose weights lora leaves as they are"
        require(self.init_from is not None, "init_from", None, expected)

    def _check_task(self) -> None:
        if self.task is None or isinstance(self.task, UnconditionalTask):
            name = self.baseline.name if self.baseline else None
            expected = "another, without a task of text or layout"
            require(name not in TOKEN_READERS.values(), "baseline.name", name, expected)
            none = self.task is None or self.condition is None
            expected = "null with a task of the kind unconditional"
            require(none, "model.condition", self.condition, expected)
            return
        name, kind = self.baseline.name if self.baseline else None, self.task.kind
        reads = kind in ("inpainting", "super_resolution", "semantic")
        if reader := TOKEN_READERS.get(kind):
            good, expected = name in (None, reader), f"{reader}, which reads it, or null"
        else:
            good = name is None or (reads and name not in TOKEN_READERS.values())
            expected = f"null with the task {kind}: LDM's networks here take images and maps"
        require(good, "baseline", name, expected)

    def _check_level_times(self, count: int) -> None:
        rule, noise = self.schedule, self.finished_level_noise
        shifted = isinstance(rule, LevelTimesConfig) and rule.kind == "shifts"
        finish = rule is not None and not shifted
        expected = "0, unless there are windows, or level_times of kind stages or offset"
        require(noise == 0 or finish, "finished_level_noise", noise, expected)
        if self.model is None:
            return
        predicts = self.model.predicts
        good = predicts is None or len(predicts) == count
        require(good, "model.predicts", predicts, f"{counted(count, 'word')}, one for each level")
        if self.model.level_times is not None:
            self.model.level_times.check_num_levels(count)
        for name in ("windows", "level_times"):
            value = getattr(self.model, name)
            alone = value is None or self.baseline is None
            require(alone, f"model.{name}", value, "null with a baseline")

    @property
    def network(self) -> UNetConfig | LatentUNetConfig:
        """The network to train: the baseline, if there is one, or the model."""
        network = self.baseline or self.model
        assert network is not None
        return network

    @property
    def effective_task(self) -> TaskConfig:
        """The task; where none is set, classes if the network takes them, else nothing."""
        if self.task is not None:
            return self.task
        takes_class = self.condition is not None and self.condition.num_classes > 0
        return ClassTask(kind="class") if takes_class else UnconditionalTask(kind="unconditional")

    @property
    def condition(self) -> ConditionConfig | None:
        """Sizes of the network's condition, as far as the params state them."""
        return self.network.condition if isinstance(self.network, UNetConfig) else None

    @property
    def schedule(self) -> Windows | LevelTimesConfig | None:
        """How the per-level times are related; None where all levels share one time."""
        return self.network.schedule if isinstance(self.network, UNetConfig) else None

    @property
    def needs_length(self) -> str:
        """See `TrainingConfig.needs_length`; falling dropout also depends on the length."""
        falls = isinstance(self.network, UNetConfig) and self.network.dropout_falls
        return self.training.needs_length or ("model.dropout_falls" if falls else "")
