"""At which times a denoising network is trained, and how much each counts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.config.diffusion import DiffusionConfig
from pdm.diffusion.flow import logit_normal_times, uniform_times
from pdm.diffusion.times import shifted
from pdm.models.noise_schedule import LAST_BETAS, step_times


@dataclass(frozen=True)
class Times:
    """The law of the times.

    Args:
        kind: "uniform" in [-margin, 1 + margin], "logit_normal", or "ldm".
        shift: Towards noise, see `pdm.diffusion.times.shifted`.
        margin: How far uniform times reach beyond the ends: PDM's enlarged range.
        steps: LDM's times, where the kind is "ldm".
    """

    kind: str
    shift: float
    margin: float
    steps: Tensor | None

    @classmethod
    def of(cls, config: DiffusionConfig) -> "Times":
        """That of a training."""
        steps = step_times(LAST_BETAS[config.baseline.name]).float() if config.baseline else None
        return cls(config.timesteps, config.time_shift, config.time_margin, steps)

    def draw(self, generator: torch.Generator) -> Tensor:
        """A time ()."""
        if self.kind == "ldm":
            assert self.steps is not None
            return self.steps[torch.randint(len(self.steps), (), generator=generator)]
        if self.kind == "uniform":
            t = shifted(uniform_times(1, generator)[0], self.shift)
            return t * (1 + 2 * self.margin) - self.margin
        return shifted(logit_normal_times(1, generator)[0], self.shift)

    def weights(self, t: Tensor) -> Tensor:
        """How much errors of the velocity count at times (B,).

        LDM's loss is that of the noise. At our time t an error e of the velocity is an error t e of
        the noise, so its square counts t squared.
        """
        return t.square() if self.kind == "ldm" else torch.ones_like(t)
