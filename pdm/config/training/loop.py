"""Setting `training` of both trainings: batches, optimizer, schedule, EMA and checkpoints."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import MAY_CHANGE, STRICT, Neutral
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
    require,
)


@dataclass(frozen=True, kw_only=True, slots=True)
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
    keep_every_images: Annotated[
        Images | None,
        "checkpoints at multiples of this are kept, too; null: none",
        MAY_CHANGE,
    ]
    keep_runs: Annotated[
        CountOrZero, "newest finished runs whose model and last checkpoint are kept", MAY_CHANGE
    ]
    seed: Annotated[Seed, "of initial weights, order, noise and augmentation"]

    def micro_batch_size(self, num_workers: int) -> int:
        """Return the number of images in one pass on one of these workers."""
        return self.batch_size // (num_workers * self.accumulation)

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

        kept = self.keep_every_images
        require(
            kept is None or kept % self.save_every_images == 0,
            "keep_every_images",
            kept,
            f"a multiple of save_every_images ({self.save_every_images}), or null",
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
