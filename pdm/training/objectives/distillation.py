"""Loss of a network that is distilled to sample in few steps: the error of the velocities that
these steps follow."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pdm.diffusion.few_steps import (
    choose_stops,
    extrapolate,
    mean_velocity,
    teacher_trajectory,
    times_of_steps,
)
from pdm.diffusion.guidance import clamp_data, clamp_times
from pdm.diffusion.samplers import extrapolations
from pdm.diffusion.sampling_times import for_each_level, step_lengths
from pdm.models.condition import NO_CONDITION, Condition, with_condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Pyramid

CLAMP, MARGIN = 4.0, 1e-3  # `sample.clamp_latents` and `time_margin` of the teacher; the defaults


class DistillationLosses(nn.Module):
    """Compares a student with the trajectories of its teacher, see `pdm.diffusion.few_steps`.

    Args:
        model: The network under training.
        teacher: A flow network, in evaluation mode, on the same device. It is no part of this
            module: it is neither trained nor saved.
        teacher_stops: Where the teacher evaluates, (stops,) or (stops, levels).
        steps: Of the student.
        level_weights: Weight of each level, coarse to fine.
    """

    level_weights: Tensor
    times: Tensor
    moves: Tensor
    shares: Tensor

    def __init__(
        self,
        model: Denoiser,
        teacher: Denoiser,
        teacher_stops: Tensor,
        steps: int,
        level_weights: Sequence[float],
    ) -> None:
        super().__init__()
        self.model = model
        self._teacher = (teacher,)  # in a tuple, so that torch does not register it
        self.teacher_stops = teacher_stops
        self.stop_numbers = choose_stops(len(teacher_stops), steps)
        self.stops = teacher_stops[self.stop_numbers]
        self.lengths = step_lengths(self.stops)
        device = next(model.parameters()).device
        weights = torch.tensor(level_weights, device=device)
        self.register_buffer("level_weights", weights, persistent=False)
        times = times_of_steps(self.stops).float().to(device)
        self.register_buffer("times", times, persistent=False)
        rows = [for_each_level(step, len(level_weights)) for step in self.lengths]
        moves = (torch.tensor(rows, device=device) > 0).mT.to(weights.dtype)
        self.register_buffer("moves", moves, persistent=False)  # (levels, steps)
        shares = torch.tensor(extrapolations(rows), device=device).mT.contiguous()
        self.register_buffer("shares", shares, persistent=False)  # (levels, steps)

    def forward(self, noise: Pyramid, condition: Condition = NO_CONDITION) -> dict[str, Tensor]:
        """Compute the losses of a batch of trajectories.

        Args:
            noise: Standard normal, where the trajectories begin.
            condition: Of the pictures, with the parts that the network takes.

        Returns:
            "loss" is the weighted mean over the levels; "loss_level" is each level's own, over the
            steps in which it moves; "loss_step" is that of each step.
        """
        points = self.trajectory(noise, condition)
        pairs = list(zip(points, points[1:], self.lengths, strict=False))
        targets = [mean_velocity(*pair) for pair in pairs]
        starts, expected = _stack(points[:-1]), _stack(targets)
        count, steps = len(noise[0]), len(pairs)
        repeated = condition.change(lambda part: part.repeat(steps, *[1] * (part.ndim - 1)))
        predicted = with_condition(self.model, repeated)(
            starts, self.times.repeat_interleave(count, dim=0)
        )
        followed = [
            extrapolate(level.float().reshape(steps, count, *level.shape[1:]), shares)
            for level, shares in zip(predicted, self.shares, strict=True)
        ]
        errors = torch.stack(
            [
                (guess - truth.reshape(guess.shape)).square().mean(dim=(1, 2, 3, 4))
                for guess, truth in zip(followed, expected, strict=True)
            ]
        )  # (levels, steps)
        weights, moves = self.level_weights, self.moves
        by_level = (errors * moves).sum(dim=1) / moves.sum(dim=1)
        return {
            "loss": (by_level * weights).sum() / weights.sum(),
            "loss_level": by_level.detach(),
            "loss_step": (weights @ (errors * moves) / (weights @ moves)).detach(),
        }

    def of_network(self, network: Denoiser) -> "DistillationLosses":
        """Return the losses of another network, such as the EMA of this one."""
        steps, level_weights = len(self.lengths), self.level_weights.tolist()
        teacher = self._teacher[0]
        return DistillationLosses(network, teacher, self.teacher_stops, steps, level_weights)

    @torch.no_grad()
    def trajectory(self, noise: Pyramid, condition: Condition = NO_CONDITION) -> list[Pyramid]:
        """Return the teacher's points at the student's stops."""
        velocity = clamp_times(with_condition(self._teacher[0], condition), MARGIN)
        velocity = clamp_data(velocity, CLAMP)
        points = teacher_trajectory(velocity, noise, self.teacher_stops, self.stop_numbers)
        return [tuple(level.float() for level in point) for point in points]


def _stack(pyramids: Sequence[Pyramid]) -> Pyramid:
    """Concatenate batches of pyramids."""
    return tuple(torch.cat(level) for level in zip(*pyramids, strict=True))
