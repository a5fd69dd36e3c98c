"""Samplers: they solve dx/dt = velocity(x, t) from noise (t = 0) to data (t = 1), over pyramids.

All have one signature (`Sampler`): the velocity, the noise, and the times to stop at, rising from 0
to 1, shared by all levels or one per level (`pdm.diffusion.sampling_times`). Those of fixed steps
can also be taken step by step (`Step`), from a `Point` that may be saved in between. They run under
the caller's grad mode and keep the noise's device and dtype. An image's result does not depend on
its batch. Guidance (CFG) and clamping are wrapped around the velocity beforehand
(`pdm.diffusion.guidance`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.diffusion.sampling_times import for_each_level, step_lengths
from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.seeds import generator_of

Sampler = Callable[[Velocity, Pyramid, Tensor], Pyramid]


def noise_from_seeds(seeds: Sequence[int], shapes: Sequence[LevelShape]) -> Pyramid:
    """Draw standard normal noise for one image per seed, on the CPU in float32.

    Each image has a generator of its own, so its noise does not depend on its batch.

    Args:
        seeds: One for each image.
        shapes: (C, h, w) of every level.
    """
    noises = [_noise(seed, shapes) for seed in seeds]
    return tuple(torch.stack(level) for level in zip(*noises, strict=True))


@dataclass(frozen=True, slots=True)
class Point:
    """Where a sampler stands between two steps.

    Args:
        pyramid: Its place between noise and data.
        number: Steps taken.
        slope: Velocity of the last step, for samplers that need it.
    """

    pyramid: Pyramid
    number: int = 0
    slope: Pyramid | None = None

    def move(self, pyramid: Pyramid, slope: Pyramid | None = None) -> "Point":
        """Return the point after one more step."""
        return Point(pyramid, self.number + 1, slope)


Step = Callable[[Velocity, Point, Tensor], Point]  # (velocity, point, all times) -> next point


def take_all_steps(step: Step, velocity: Velocity, noise: Pyramid, times: Tensor) -> Pyramid:
    """Sample from noise to the last of the times."""
    point = Point(noise)
    while point.number < len(times) - 1:
        point = step(velocity, point, times)
    return point.pyramid


def euler(velocity: Velocity, noise: Pyramid, times: Tensor) -> Pyramid:
    """Solve by Euler's method: order one, one evaluation of the velocity per step."""
    return take_all_steps(euler_step, velocity, noise, times)


def euler_step(velocity: Velocity, point: Point, times: Tensor) -> Point:
    """Take one step of `euler`."""
    slope = velocity_at(velocity, point.pyramid, times[point.number])
    return point.move(take_step(point.pyramid, slope, _length(times, point.number)))


def heun(velocity: Velocity, noise: Pyramid, times: Tensor) -> Pyramid:
    """Solve by Heun's method: order two, 2 * steps - 1 evaluations of the velocity.

    Each step follows the mean of the velocities at its start and at the point that Euler's step
    would reach. The last step is Euler's, since at t = 1 nothing is left to predict (as in Karras
    et al., arXiv:2206.00364); the order stays two.
    """
    return take_all_steps(heun_step, velocity, noise, times)


def heun_step(velocity: Velocity, point: Point, times: Tensor) -> Point:
    """Take one step of `heun`."""
    number, length = point.number, _length(times, point.number)
    slope = velocity_at(velocity, point.pyramid, times[number])
    if number < len(times) - 2:
        reached = take_step(point.pyramid, slope, length)
        other = velocity_at(velocity, reached, times[number + 1])
        del reached
        slope = tuple((a + b).div_(2) for a, b in zip(slope, other, strict=True))
    return point.move(take_step(point.pyramid, slope, length))


def multistep(velocity: Velocity, noise: Pyramid, times: Tensor) -> Pyramid:
    """Solve by the two-step Adams-Bashforth method: order two, one evaluation per step.

    Each step extrapolates the velocity from the previous step's; steps may differ in length. A
    level's first step is Euler's.
    """
    return take_all_steps(multistep_step, velocity, noise, times)


def multistep_step(velocity: Velocity, point: Point, times: Tensor) -> Point:
    """Take one step of `multistep`."""
    return multistep_step_at(velocity, point, times, times)


def multistep_at(velocity: Velocity, noise: Pyramid, times: Tensor, evaluated: Tensor) -> Pyramid:
    """Take the steps of `multistep`, with the velocity at other times than the steps begin at.

    Args:
        evaluated: (steps,), or (steps, levels).
    """
    step = partial(multistep_step_at, evaluated=evaluated)
    return take_all_steps(step, velocity, noise, times)


def multistep_step_at(velocity: Velocity, point: Point, times: Tensor, evaluated: Tensor) -> Point:
    """Take one step of `multistep_at`."""
    number = point.number
    steps = step_lengths(times[max(number - 1, 0) : number + 2])
    slope = velocity_at(velocity, point.pyramid, evaluated[number])
    before = slope if point.slope is None else point.slope
    num_levels = len(slope)
    lengths = for_each_level(steps[-1], num_levels)
    shares = for_each_level(extrapolations(steps)[-1], num_levels)
    levels = zip(point.pyramid, slope, before, lengths, shares, strict=True)
    return point.move(tuple(_extrapolated_step(*level) for level in levels), slope)


def extrapolations(steps: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the share of the change of the velocity since the previous step that each step of
    `multistep` adds to its velocity.

    Args:
        steps: From `step_lengths`: the lengths of each step, one for all levels or one for each.

    Returns:
        The shares of each step, in the same form: half the ratio of its length to the length
        before. 0 in the first step, and where a level did not move in the step before.
    """
    before = [[0.0] * len(steps[0]), *steps]
    return [
        [now / (2 * last) if last else 0.0 for now, last in zip(step, past, strict=True)]
        for step, past in zip(steps, before, strict=False)
    ]


def velocity_at(velocity: Velocity, pyramid: Pyramid, t: Tensor) -> Pyramid:
    """Return the velocity of a batch whose images all have the same time (), or times
    (levels,)."""
    device = pyramid[0].device
    return velocity(pyramid, t.float().to(device).expand(len(pyramid[0]), *t.shape))


def take_step(pyramid: Pyramid, slope: Pyramid, step: Sequence[float]) -> Pyramid:
    """Move along a slope; `step` holds one length, or one for each level."""
    return tuple(
        add_to(x, length * v) if length else x
        for x, v, length in zip(pyramid, slope, for_each_level(step, len(pyramid)), strict=True)
    )


def add_to(x: Tensor, change: Tensor) -> Tensor:
    """Return x + change, to the bit, in the memory of the change where it is laid out as x is.

    Maps of large images take most of the memory of sampling them.

    Args:
        x: Is not changed.
        change: Of the same shape; of no use afterwards.
    """
    is_alike = change.stride() == x.stride() and change.dtype == x.dtype
    return change.add_(x) if is_alike else x + change


def _extrapolated_step(
    x: Tensor, slope: Tensor, before: Tensor, length: float, share: float
) -> Tensor:
    """Take a step of `multistep` in a level, along slope + share * (slope - before)."""
    if not length:
        return x
    if not share:
        return add_to(x, length * slope)
    bend = (slope - before).mul_(share)
    return add_to(x, add_to(slope, bend).mul_(length))


def _length(times: Tensor, number: int) -> Sequence[float]:
    """Return the length of one step."""
    return step_lengths(times[number : number + 2])[0]


def _noise(seed: int, shapes: Sequence[LevelShape]) -> list[Tensor]:
    generator = generator_of(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]
