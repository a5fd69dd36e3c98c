"""Solvers of dx/dt = velocity(x, t) from noise at t = 0 to data at t = 1, over pyramids.

All have one signature: the velocity, the noise, the number of equal steps, and how far predicted
data may lie from zero (0 for no limit). They run under the caller's grad mode and keep the noise's
device and dtype.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.models.pyramid import LevelShape, Pyramid


def noise_from_seeds(seeds: Sequence[int], shapes: Sequence[LevelShape]) -> Pyramid:
    """Standard normal noise for one picture per seed, on the CPU in float32.

    Each picture has a generator of its own, so its noise does not depend on its batch.

    Args:
        seeds: One for each picture.
        shapes: (C, h, w) of every level.
    """
    pictures = [_noise(seed, shapes) for seed in seeds]
    return tuple(torch.stack(level) for level in zip(*pictures, strict=True))


def euler(velocity: Velocity, noise: Pyramid, steps: int, clamp: float = 0.0) -> Pyramid:
    """First order: one evaluation of the velocity per step."""
    pyramid = noise
    for step in range(steps):
        t = step / steps
        pyramid = _move(pyramid, _velocity(velocity, pyramid, t, clamp), 1 / steps)
    return pyramid


def heun(velocity: Velocity, noise: Pyramid, steps: int, clamp: float = 0.0) -> Pyramid:
    """Second order: the mean of the velocities at a step's start and at where Euler would end.

    The last step is Euler's, since at t = 1 nothing is left to predict (as in Karras et al.,
    arXiv:2206.00364); the order stays two. 2 * steps - 1 evaluations.
    """
    pyramid = noise
    for step in range(steps):
        t, length = step / steps, 1 / steps
        slope = _velocity(velocity, pyramid, t, clamp)
        if step < steps - 1:
            end = _velocity(velocity, _move(pyramid, slope, length), (step + 1) / steps, clamp)
            slope = tuple((a + b) / 2 for a, b in zip(slope, end, strict=True))
        pyramid = _move(pyramid, slope, length)
    return pyramid


def _velocity(velocity: Velocity, pyramid: Pyramid, t: float, clamp: float) -> Pyramid:
    """Velocity at t < 1, bent where it leads to data further than `clamp` from zero."""
    times = torch.full((len(pyramid[0]),), t, dtype=torch.float32, device=pyramid[0].device)
    found = velocity(pyramid, times)
    if clamp == 0:
        return found
    return tuple(
        ((x + (1 - t) * v).clamp(-clamp, clamp) - x) / (1 - t)
        for x, v in zip(pyramid, found, strict=True)
    )


def _move(pyramid: Pyramid, slope: Pyramid, length: float) -> Pyramid:
    return tuple(x + length * v for x, v in zip(pyramid, slope, strict=True))


def _noise(seed: int, shapes: Sequence[LevelShape]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]
