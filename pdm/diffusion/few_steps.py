"""Sampling in few steps, by a network that was distilled for exactly these steps.

A flow network predicts the velocity at a point of its trajectory, so long steps leave the
trajectory. A few-step network is trained so that the steps of `multistep` between its stops stay on
it: they then follow the mean velocity from one stop to the next (MeanFlow, arXiv:2505.13447,
equation 3). It learns from trajectories of the flow, its teacher, in many steps (as in progressive
distillation, arXiv:2202.00512, but in one go). It starts as the flow itself, whose `multistep`
leaves the trajectory by less than Euler's method does.

Stops are as elsewhere (`pdm.diffusion.sampling_times`): (steps + 1,), or (steps + 1, levels).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.diffusion.samplers import multistep, multistep_at
from pdm.diffusion.sampling_times import for_each_level
from pdm.models.levels.pyramid import Pyramid


def choose_stops(num_stops: int, steps: int) -> list[int]:
    """Choose steps + 1 of the teacher's stops, evenly by number, with the first and the last."""
    return [round(step * (num_stops - 1) / steps) for step in range(steps + 1)]


def times_of_steps(stops: Tensor) -> Tensor:
    """Return the times (steps,) or (steps, levels) at which the network is evaluated.

    They are those at the beginning of each step. A level that begins within a step is taken as
    having just begun, at time 0, since a network sees nothing of levels that have not begun.
    """
    now, later = stops[:-1], stops[1:]
    return torch.where(later > 0, now.clamp_min(0), now)


def take_few_steps(velocity: Velocity, noise: Pyramid, stops: Tensor) -> Pyramid:
    """Sample by a few-step network: one evaluation per step. A `Sampler`."""
    return multistep_at(velocity, noise, stops, times_of_steps(stops))


def extrapolate(velocities: Tensor, shares: Tensor) -> Tensor:
    """Return the velocities that the steps of `multistep` follow, from those of its network.

    Args:
        velocities: (steps, ...), of a level at each stop.
        shares: (steps,), from `extrapolations`; the first is 0.
    """
    previous = torch.cat([velocities[:1], velocities[:-1]])
    return velocities + shares.view(-1, *[1] * (velocities.ndim - 1)) * (velocities - previous)


def teacher_trajectory(
    velocity: Velocity, noise: Pyramid, times: Tensor, numbers: list[int]
) -> list[Pyramid]:
    """Follow a flow from noise to data by `multistep`, and return the points at some stops.

    Args:
        velocity: Of the teacher, with guidance and clamping.
        noise: Where the trajectories begin.
        times: The teacher's stops.
        numbers: Of these stops, rising.
    """
    points: list[Pyramid] = []

    def recorded(pyramid: Pyramid, t: Tensor) -> Pyramid:
        points.append(pyramid)
        return velocity(pyramid, t)

    end = multistep(recorded, noise, times)
    return [points[stop] if stop < len(points) else end for stop in numbers]


def mean_velocity(start: Pyramid, end: Pyramid, step: Sequence[float]) -> Pyramid:
    """Return the mean velocity of a step between two points.

    Args:
        start, end: The points; one (B, C, h, w) for each level.
        step: Its length, or one for each level.

    Returns:
        (end - start) / length for each level, of its shape; 0 for levels that do not move.
    """
    lengths = for_each_level(step, len(start))
    return tuple(
        (after - before) / length if length else torch.zeros_like(before)
        for before, after, length in zip(start, end, lengths, strict=True)
    )
