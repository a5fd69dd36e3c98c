"""Sampling with fresh noise at every step: DDIM (Song et al., arXiv:2010.02502), up to ancestral.

DDIM's formulas speak of x = sqrt(abar) data + sqrt(1 - abar) noise; here such an x stands divided
by the sum of both factors, a point of our paths, so the sampler takes any velocity. Without fresh
noise (eta = 0) its steps are Euler's; with all of it (eta = 1) it is DDPM's ancestral sampling.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.diffusion.samplers import velocity_at
from pdm.models.pyramid import LevelShape, Pyramid

Fresh = Callable[[], Pyramid]
SEED_OFFSET = 1 << 40  # from a picture's seed to that of its fresh noise


def fresh_noise(seeds: Sequence[int], shapes: Sequence[LevelShape], device: torch.device) -> Fresh:
    """Draws noise, again and again, from a generator for each picture, whatever its batch."""
    generators = [torch.Generator().manual_seed(seed + SEED_OFFSET) for seed in seeds]

    def draw() -> Pyramid:
        pictures = [[torch.randn(shape, generator=one) for shape in shapes] for one in generators]
        return tuple(torch.stack(level).to(device) for level in zip(*pictures, strict=True))

    return draw


def ddim(velocity: Velocity, noise: Pyramid, times: Tensor, *, eta: float, fresh: Fresh) -> Pyramid:
    """One evaluation per step.

    Args:
        velocity: Of one time for all levels.
        noise: Stands for the point at the first of the times.
        times: (stops,), up to 1, such as LDM's steps.
        eta: Share of ancestral sampling's fresh noise, as standard deviation.
        fresh: Of the same pictures.
    """
    pyramid = tuple(level * _noise_to_signal(float(times[0])) for level in noise)
    for number in range(len(times) - 1):
        now, then = float(times[number]), float(times[number + 1])
        slope = velocity_at(velocity, pyramid, times[number])
        kept, width = _abar(then), _noise_to_signal(then)
        added = eta * _added(now, then)
        old = (max(0.0, 1 - kept - added**2)) ** 0.5
        data = tuple(x + (1 - now) * v for x, v in zip(pyramid, slope, strict=True))
        guess = tuple(x - now * v for x, v in zip(pyramid, slope, strict=True))
        pyramid = tuple(
            width * (kept**0.5 * end + old * start) for end, start in zip(data, guess, strict=True)
        )
        if added:
            pyramid = tuple(x + width * added * z for x, z in zip(pyramid, fresh(), strict=True))
    return pyramid


def _abar(t: float) -> float:
    """Share of data in the variance of LDM's x at our time t."""
    return t**2 / (t**2 + (1 - t) ** 2)


def _noise_to_signal(t: float) -> float:
    """What LDM's x is multiplied by at our time t: one over the sum of its two factors."""
    return float((t**2 + (1 - t) ** 2) ** 0.5)


def _added(now: float, then: float) -> float:
    """Standard deviation of ancestral sampling's fresh noise (DDIM, equation 16, eta = 1)."""
    before, after = _abar(now), _abar(then)
    return float(((1 - after) / (1 - before) * (1 - before / after)) ** 0.5)
