"""DDIM sampling (Song et al., arXiv:2010.02502), which can add fresh noise at every step.

DDIM's formulas are for x = sqrt(abar) data + sqrt(1 - abar) noise. Divided by the sum of both
factors, such an x is a point of our paths, so the sampler takes any velocity. Without fresh noise
(eta = 0) its steps are Euler's; with all of it (eta = 1) this is DDPM's ancestral sampling.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.diffusion.samplers import Point, add_to, take_all_steps, velocity_at
from pdm.models.levels.pyramid import LevelShape, Pyramid
from pdm.seeds import generator_of, seed_at

Fresh = Callable[[], Pyramid]


def fresh_noise(seeds: Sequence[int], shapes: Sequence[LevelShape], device: torch.device) -> Fresh:
    """Return a function that draws new noise at each call, from one generator per image.

    An image's noise does not depend on its batch, and is unrelated to the noise that it starts
    from (`pdm.diffusion.samplers.noise_from_seeds`).
    """
    generators = [generator_of(seed_at(seed, 0, "fresh noise")) for seed in seeds]

    def draw() -> Pyramid:
        noises = [[torch.randn(shape, generator=one) for shape in shapes] for one in generators]
        return tuple(torch.stack(level).to(device) for level in zip(*noises, strict=True))

    return draw


def ddim(velocity: Velocity, noise: Pyramid, times: Tensor, *, eta: float, fresh: Fresh) -> Pyramid:
    """Sample by DDIM, with one evaluation of the velocity per step.

    Args:
        velocity: Called with one time for all levels.
        noise: Taken as the point at the first of the times.
        times: (stops,), up to 1, such as LDM's steps.
        eta: Standard deviation of the fresh noise as a fraction of ancestral sampling's.
        fresh: Draws fresh noise for the same images, from `fresh_noise`.
    """
    step = partial(ddim_step, eta=eta, fresh=fresh)
    return take_all_steps(step, velocity, start_on_path(noise, times), times)


def start_on_path(noise: Pyramid, times: Tensor) -> Pyramid:
    """Return the point of our path where `ddim` begins: LDM's x at the first time is the noise."""
    return tuple(level * _noise_to_signal(float(times[0])) for level in noise)


def ddim_step(
    velocity: Velocity, point: Point, times: Tensor, *, eta: float, fresh: Fresh
) -> Point:
    """Take one step of `ddim` from a point of our path, such as `start_on_path` gives.

    All steps but the last draw fresh noise once, unless `eta` is 0.
    """
    number, pyramid = point.number, point.pyramid
    now, later = float(times[number]), float(times[number + 1])
    slope = velocity_at(velocity, pyramid, times[number])
    abar, scale = _abar(later), _noise_to_signal(later)
    added = eta * _ancestral_std(now, later)
    old = (max(0.0, 1 - abar - added**2)) ** 0.5
    moved = []
    for x, v in zip(pyramid, slope, strict=True):
        data, guess = add_to(x, (1 - now) * v), add_to(x, -now * v)
        moved.append(add_to(data.mul_(abar**0.5), guess.mul_(old)).mul_(scale))
    if added:
        moved = [add_to(x, scale * added * z) for x, z in zip(moved, fresh(), strict=True)]
    return point.move(tuple(moved))


def _abar(t: float) -> float:
    """Return the fraction of data in the variance of LDM's x at our time t (alpha-bar)."""
    return t**2 / (t**2 + (1 - t) ** 2)


def _noise_to_signal(t: float) -> float:
    """Return the factor that makes LDM's x a point of our path at time t.

    It is one over the sum of LDM's two factors.
    """
    return float((t**2 + (1 - t) ** 2) ** 0.5)


def _ancestral_std(now: float, later: float) -> float:
    """Return the standard deviation of ancestral sampling's noise (DDIM, equation 16, eta = 1)."""
    before, after = _abar(now), _abar(later)
    return float(((1 - after) / (1 - before) * (1 - before / after)) ** 0.5)
