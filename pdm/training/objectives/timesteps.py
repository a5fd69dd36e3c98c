"""Timestep sampling in training: the distribution of the times, and the loss weight of each."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.config.networks.level_times import LevelTimesConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.diffusion.flow import logit_normal_times, uniform_times
from pdm.diffusion.level_schedules import Schedule
from pdm.diffusion.sampling_times import shift_time, times_in_windows
from pdm.models.levels.parameterisation import data_loss_weight
from pdm.models.noise_schedule import betas_of, step_times
from pdm.training.objectives.level_times import (
    add_noise_to_finished,
    draw_level_times,
    level_weights,
)


@dataclass(frozen=True)
class TimeDistribution:
    """The distribution of the times.

    `pdm.training.objectives.level_times` says how per-level times are drawn and weighted. Where
    levels run in windows, one level is chosen for each picture, all with equal probability.
    That level's time follows the distribution, and the windows give the times of the others. If
    another level happens to run at that point, it is trained too. A level's errors are weighted by
    the density of its time under the distribution, divided by the density of the picture's time
    over all choices of a level. So every level's loss is its mean under the distribution, whatever
    the windows, and windows do not starve a level.

    Args:
        kind: "uniform" in [-margin, 1 + margin], "logit_normal", or "ldm".
        shift: Shift towards noise, see `pdm.diffusion.sampling_times.shift_time`.
        margin: How far uniform times reach beyond the ends: PDM's enlarged range.
        steps: LDM's times, where the kind is "ldm".
        schedule: How the per-level times are related; None where all levels share one time.
        num_levels: Of the pyramid.
        finished_noise: Largest share of noise of finished levels.
        data_levels: Levels whose data the network predicts.
    """

    kind: str
    shift: float
    margin: float
    steps: Tensor | None
    schedule: Schedule | None
    num_levels: int = 1
    finished_noise: float = 0.0
    data_levels: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: DiffusionConfig) -> "TimeDistribution":
        """Make the distribution that a training's config asks for."""
        steps = step_times(*betas_of(config.baseline.name)).float() if config.baseline else None
        return cls(
            config.timesteps,
            config.time_shift,
            config.time_margin,
            steps,
            config.schedule,
            len(config.level_loss_weights),
            config.finished_level_noise,
            config.data_levels,
        )

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw a time (), or times (levels,) where levels have their own."""
        time = self._time(generator)
        if self.schedule is None:
            return time
        if isinstance(self.schedule, LevelTimesConfig):
            return draw_level_times(self.schedule, time, self.num_levels, generator)
        windows = self.schedule
        start, end = windows[int(torch.randint(len(windows), (), generator=generator))]
        return times_in_windows((start + (end - start) * time).view(1), windows)[0]

    def disturb(self, t: Tensor, generator: torch.Generator) -> Tensor:
        """Return times (levels,) of one picture with noise on finished levels."""
        assert self.schedule is not None
        return add_noise_to_finished(self.schedule, t, self.finished_noise, generator)

    def weights(self, t: Tensor) -> Tensor:
        """Return loss weights for the velocity at times (B,) or (B, levels); same shape.

        LDM's loss is the error of the noise. At our time t an error e of the velocity is an error
        t e of the noise, so its square counts t squared.
        """
        if self.kind == "ldm":
            return t.square()
        if self.schedule is None:
            return torch.ones_like(t)
        if isinstance(self.schedule, LevelTimesConfig):
            return level_weights(self.schedule, t)
        starts, ends = torch.tensor(self.schedule, device=t.device).unbind(1)
        densities = self._density(t) / (ends - starts)
        return densities / densities.mean(dim=1, keepdim=True)

    def weigh_predicted_data(self, weights: Tensor, t: Tensor) -> Tensor:
        """Lower the weights near the data, of levels whose data is predicted: (B, levels)."""
        if not self.data_levels:
            return weights
        weights, t = (one.view(len(t), -1).expand(-1, self.num_levels) for one in (weights, t))
        factors = torch.ones_like(weights)
        chosen = list(self.data_levels)
        factors[:, chosen] = data_loss_weight(t[:, chosen])
        return weights * factors

    def _time(self, generator: torch.Generator) -> Tensor:
        if self.kind == "ldm":
            assert self.steps is not None
            return self.steps[torch.randint(len(self.steps), (), generator=generator)]
        if self.kind == "uniform":
            t = shift_time(uniform_times(1, generator)[0], self.shift)
            return t * (1 + 2 * self.margin) - self.margin
        return shift_time(logit_normal_times(1, generator)[0], self.shift)

    def _density(self, t: Tensor) -> Tensor:
        """Return the density of the distribution, before the windows; 0 outside of [0, 1]."""
        inside = (t >= 0) & (t <= 1)
        t = t.clamp(1e-6, 1 - 1e-6)
        before = self.shift * t / (1 + (self.shift - 1) * t)
        stretch = self.shift / (1 + (self.shift - 1) * t).square()
        density = torch.ones_like(t)
        if self.kind == "logit_normal":
            bell = torch.exp(-before.logit().square() / 2) / math.sqrt(2 * math.pi)
            density = bell / (before * (1 - before))
        return density * stretch * inside
