"""Checks and pieces that several sections share."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pdm.config.limits import (
    Beta,
    Count,
    CountOrZero,
    EmaLength,
    Images,
    ImagesOrZero,
    NonNegative,
    Positive,
    Seed,
    check_limits,
    field_types,
    require,
)

# Read by pydantic: an unknown key is an error, "6" is not 6, and NaN is not a number.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


class Mark(enum.Enum):
    """A property of a field, in its `Annotated`.

    A mark excludes a field from what results depend on, so a missing mark at worst causes
    unnecessary work.
    """

    # An unfinished run resumes from its checkpoint if such a field changes: images, noise and order
    # stay the same, and so do gradients, except for rounding and dropout.
    MAY_CHANGE = "may change while a training runs"
    # A limit for stored scores, which do not depend on it.
    LIMIT_OF_SCORES = "limit of scores"
    # No sample of a given seed depends on it.
    NOT_IN_SAMPLES = "no part in a sample"
    # Scores depend on it, but cached features of real images do not.
    NOT_IN_FEATURES = "no part in features"


MAY_CHANGE = Mark.MAY_CHANGE


@dataclasses.dataclass(frozen=True)
class Neutral:
    """The value of a field that has the effect of versions without the field. With it, a run keeps
    its name."""

    value: Any


def fields_with(kind: type, mark: Mark) -> tuple[str, ...]:
    """Names of a dataclass's fields that carry the mark."""
    hints = field_types(kind).items()
    return tuple(name for name, hint in hints if mark in getattr(hint, "__metadata__", ()))


def fields_without(kind: type, mark: Mark) -> tuple[str, ...]:
    """Names of a dataclass's fields that do not carry the mark, in their order."""
    marked = fields_with(kind, mark)
    return tuple(name for name in field_types(kind) if name not in marked)


def fingerprint(config: Any, *inputs: str) -> str:
    """Name a run: equal for equal settings and inputs, different otherwise.

    Checkpoints are stored under this name, so a retried run finds its own, and a run with other
    settings or data never resumes from them. Fields marked `MAY_CHANGE`, at any depth, are left
    out, and so are fields at their `Neutral` value.

    Args:
        config: Section of params (a dataclass).
        inputs: Digests of the run's inputs, such as the sha256 of a manifest.
    """
    named = settings_of_run(config)
    for name, value in neutral_settings(config).items():
        if named.get(name) == value:
            del named[name]
    text = json.dumps([named, *inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def settings_of_run(config: Any) -> dict[str, Any]:
    """Return the settings that determine a run, by dotted name, as JSON values."""
    return {
        name: _as_json(value) for name, value, marks in _leaves(config) if MAY_CHANGE not in marks
    }


def neutral_settings(config: Any) -> dict[str, Any]:
    """Return neutral values by dotted name."""
    return {
        name: _as_json(mark.value)
        for name, _, marks in _leaves(config)
        for mark in marks
        if isinstance(mark, Neutral)
    }


def _leaves(config: Any, above: str = "") -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yield dotted name, value and marks of each field that is not a dataclass itself."""
    kind: type = type(config)
    for name, hint in field_types(kind).items():
        value, marks = getattr(config, name), getattr(hint, "__metadata__", ())
        if dataclasses.is_dataclass(value) and MAY_CHANGE not in marks:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value, marks


def _as_json(value: Any) -> Any:
    """Convert a value: tuples to lists, dataclasses to mappings."""
    if dataclasses.is_dataclass(value):
        return settings_of_run(value)
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How a model is trained. Progress is counted in images, over all workers, not in steps."""

    __pydantic_config__: ClassVar = STRICT

    num_workers: Annotated[
        Count, "Ray Train workers, one device each; they share the batch", MAY_CHANGE
    ]
    strategy: Annotated[
        Literal["ddp", "fsdp"],
        "ddp: all weights on each worker; fsdp: sharded over them",
        MAY_CHANGE,
    ]
    batch_size: Annotated[Count, "images per optimizer step, over all workers"]
    accumulation: Annotated[Count, "backward passes per optimizer step", MAY_CHANGE]
    total_images: Annotated[Images, "length of the training"]
    optimizer: Annotated[
        Literal["adamw", "muon"], "adamw, or muon for matrices with adamw for the rest"
    ]
    betas: Annotated[
        tuple[Beta, Beta], "decay of AdamW's two moments, per step", Neutral((0.9, 0.999))
    ]
    learning_rate: Annotated[Positive, "peak learning rate"]
    warmup_images: Annotated[ImagesOrZero, "the learning rate rises linearly over these"]
    schedule: Annotated[
        Literal["constant", "cosine", "inverse_root", "linear"],
        "of the learning rate after the warm-up; cosine and linear reach 0 at total_images",
        Neutral("constant"),
    ]
    weight_decay: Annotated[NonNegative, "decoupled, as in AdamW; not of biases, norms and gains"]
    max_grad_norm: Annotated[Positive, "larger gradients are scaled down to this norm"]
    max_skipped_steps: Annotated[
        CountOrZero, "steps in a row that may be skipped for a loss that is not finite", MAY_CHANGE
    ]
    ema_half_life_images: Annotated[Images, "the EMA forgets half of its past over these"]
    ema_lengths: Annotated[
        tuple[EmaLength, ...], "power-function EMAs saved with each checkpoint (EDM2)"
    ]
    precision: Annotated[
        Literal["float32", "bfloat16"],
        "float32 or bfloat16, of the forward pass; weights stay float32",
    ]
    checkpoint_activations: Annotated[
        bool, "recompute activations: slower, far less memory", MAY_CHANGE
    ]
    compile: Annotated[bool, "torch.compile: a start of minutes, then faster steps", MAY_CHANGE]
    log_every_images: Annotated[Images, "interval of log lines and curves", MAY_CHANGE]
    save_every_images: Annotated[Images, "interval of checkpoints", MAY_CHANGE]
    keep_checkpoints: Annotated[Count, "newest checkpoints to keep, beside the best", MAY_CHANGE]
    keep_runs: Annotated[
        CountOrZero, "newest finished runs whose model and last checkpoint are kept", MAY_CHANGE
    ]
    seed: Annotated[Seed, "of initial weights, order, noise and augmentation"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(
            sorted(set(self.ema_lengths)) == list(self.ema_lengths),
            "ema_lengths",
            self.ema_lengths,
            "each length once, the shortest first",
        )
        self._check_schedule()
        share = self.num_workers * self.accumulation
        require(
            self.batch_size % share == 0,
            "batch_size",
            self.batch_size,
            f"a multiple of num_workers x accumulation ({share})",
        )
        for name in ("total_images", "log_every_images", "save_every_images"):
            require(
                getattr(self, name) % self.batch_size == 0,
                name,
                getattr(self, name),
                f"a multiple of batch_size ({self.batch_size}), so that whole steps fit",
            )

    @property
    def needs_length(self) -> str:
        """The setting that makes every step depend on `total_images`; empty if there is none."""
        falls = self.schedule in ("cosine", "linear")
        return f"training.schedule: {self.schedule}" if falls else ""

    def _check_schedule(self) -> None:
        warmup = self.warmup_images
        if self.schedule == "inverse_root":
            require(warmup > 0, "warmup_images", warmup, "above 0 with schedule: inverse_root")
        if self.schedule in ("cosine", "linear"):
            expected = f"below total_images ({self.total_images:,}) with schedule: {self.schedule}"
            require(warmup < self.total_images, "warmup_images", warmup, expected)
