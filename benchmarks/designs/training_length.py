"""How long the networks of a comparison are trained: for processor time, or for so many images."""

import dataclasses

from benchmarks.designs.jobs import Job
from benchmarks.parts.training.in_memory import ENDLESS
from pdm.config.training.loop import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Length:
    """Of one training.

    Args:
        seconds: Processor time; None: as many images as `images`.
        images: Counted from the beginning of the training, also where it goes on.
    """

    seconds: float | None
    images: int

    def __str__(self) -> str:
        return f"{self.images}-images" if self.seconds is None else f"{self.seconds:g}s"

    def of(self, config: TrainingConfig) -> TrainingConfig:
        """The settings of a training of this length."""
        return dataclasses.replace(config, total_images=self.images)

    def first(self, share: float, batch_size: int) -> "Length":
        """The first share of it, in whole steps."""
        if self.seconds is None:
            return Length(None, round(share * self.images / batch_size) * batch_size)
        return Length(share * self.seconds, self.images)

    def after(self, first: "Length") -> "Length":
        """What is left after the first share."""
        if self.seconds is None or first.seconds is None:
            return self
        return Length(self.seconds - first.seconds, self.images)


def lengths_of(job: Job) -> tuple[Length, Length]:
    """Of the first stage and of the flow of a whole system."""
    if job["train_images"] is None:
        half = Length(job["seconds"] / 2, ENDLESS)
        return half, half
    first_stage, flow = job["train_images"]
    return Length(None, first_stage), Length(None, flow)
