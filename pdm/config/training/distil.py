"""Setting `diffusion.distil`: distillation of a finished flow, to sample in few steps."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Images, Positive, check_limits, require
from pdm.config.training.loop import TrainingConfig

LOGS, CHECKPOINTS = 20, 4  # of a distillation, about


@dataclass(frozen=True, kw_only=True, slots=True)
class DistilConfig:
    """How a copy of the flow is distilled. All settings that are not here are those of
    `diffusion.training`."""

    __pydantic_config__: ClassVar = STRICT

    steps: Annotated[Count, "steps that the student takes"]
    teacher_steps: Annotated[Count, "steps of the flow, its teacher, on each trajectory"]
    total_images: Annotated[Images, "trajectories from noise to data; each trains all steps"]
    batch_size: Annotated[Count, "trajectories per optimizer step, over all workers"]
    learning_rate: Annotated[Positive, "at the start; it falls linearly to 0"]
    ema_half_life_images: Annotated[Images, "the EMA forgets half of its past over these"]

    def __post_init__(self) -> None:
        check_limits(self)
        expected = f"at least steps ({self.steps})"
        require(self.teacher_steps >= self.steps, "teacher_steps", self.teacher_steps, expected)
        whole = self.total_images % self.batch_size == 0
        expected = f"a multiple of batch_size ({self.batch_size}), so that whole steps fit"
        require(whole, "total_images", self.total_images, expected)

    def training(self, flow: TrainingConfig) -> TrainingConfig:
        """Settings of the distillation, from those of the flow's training.

        Raises:
            ValueError: The batch cannot be shared by the workers.
        """
        return dataclasses.replace(
            flow,
            total_images=self.total_images,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_images=0,
            schedule="linear",
            ema_half_life_images=self.ema_half_life_images,
            ema_lengths=(),
            log_every_images=self._interval(LOGS),
            save_every_images=self._interval(CHECKPOINTS),
            keep_every_images=None,  # counts images of the flow's training
        )

    def _interval(self, parts: int) -> int:
        """Images of about one of these parts, in whole steps."""
        return self.batch_size * max(1, self.total_images // self.batch_size // parts)
