"""Checks and pieces that several sections share."""

import dataclasses
import hashlib
import json
from typing import Any, ClassVar, Literal

# Read by pydantic: an unknown key is an error, "6" is not 6, and NaN is no number.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


def require(condition: bool, name: str, value: object, expectation: str) -> None:
    """Raise `ValueError` naming the key, its value and what was expected, unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expectation}, got {value!r}")


def require_positive(config: object, *names: str) -> None:
    """Each named field must be above zero."""
    for name in names:
        require(getattr(config, name) > 0, name, getattr(config, name), "a number above 0")


def require_fraction(config: object, *names: str) -> None:
    """Each named field must lie in [0, 1]."""
    for name in names:
        require(
            0 <= getattr(config, name) <= 1, name, getattr(config, name), "a number from 0 to 1"
        )


def fingerprint(config: Any, *inputs: str) -> str:
    """Name for a run: equal for equal settings and inputs, different otherwise.

    Checkpoints are filed under it, so that a retried run finds its own and a run with changed
    settings or data can never resume from the old ones. What only says how a training is spread
    over machines, and what it reports how often (`MAY_CHANGE`), has no part in it.

    Args:
        config: A section of params (a dataclass).
        inputs: Digests of what the run reads, such as the sha256 of its input manifest.
    """
    values = dataclasses.asdict(config)
    for name in getattr(config, "MAY_CHANGE", ()):
        del values[name]
    for name in TrainingConfig.MAY_CHANGE:
        values.get("training", {}).pop(name, None)
    text = json.dumps([values, *inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How a model is trained. Progress is counted in images, over all workers, not in steps."""

    __pydantic_config__: ClassVar = STRICT
    # An unfinished run goes on from its checkpoint when these differ: the same pictures with the
    # same noise in the same order, and the same sums of gradients but for rounding and dropout.
    MAY_CHANGE: ClassVar = (
        *("num_workers", "strategy", "accumulation", "checkpoint_activations", "compile"),
        *("log_every_images", "save_every_images", "keep_checkpoints"),
    )

    num_workers: int  # Ray Train workers, one device each; the batch is divided among them
    strategy: Literal["ddp", "fsdp"]  # weights whole on each worker, or spread over them (FSDP2)
    batch_size: int  # images per optimizer step, over all workers and accumulations
    accumulation: int  # backward passes per optimizer step
    total_images: int
    optimizer: Literal["adamw", "muon"]  # Muon: for matrices; AdamW for the rest
    learning_rate: float
    warmup_images: int  # the learning rate rises linearly over these
    weight_decay: float
    max_grad_norm: float
    ema_half_life_images: int  # the average forgets half of what it knew over these
    ema_lengths: tuple[float, ...]  # of averages kept at each checkpoint, to choose from later
    precision: Literal["float32", "bfloat16"]  # of the forward pass; weights stay float32
    checkpoint_activations: bool  # compute blocks again on the way back: slower, far less memory
    compile: bool  # torch.compile: a start of minutes, then faster steps
    log_every_images: int
    save_every_images: int
    keep_checkpoints: int
    seed: int

    def __post_init__(self) -> None:
        require_positive(
            self,
            "num_workers",
            "batch_size",
            "accumulation",
            "total_images",
            "learning_rate",
            "max_grad_norm",
            "ema_half_life_images",
            "log_every_images",
            "save_every_images",
            "keep_checkpoints",
        )
        for name in ("warmup_images", "weight_decay", "seed"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number of at least 0")
        require(
            all(0 < length <= 0.28 for length in self.ema_lengths)
            and sorted(set(self.ema_lengths)) == list(self.ema_lengths),
            "ema_lengths",
            self.ema_lengths,
            "lengths above 0 and up to 0.28, each once, the shortest first",
        )
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
