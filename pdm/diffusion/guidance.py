"""Wrappers around a velocity: classifier-free guidance (CFG), autoguidance, clamping.

Times are (B,), or (B, levels) where each level has its own; below 0 a level has not begun, above 1
it is finished, and its velocity is not used.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity, by_level
from pdm.models.pyramid import Pyramid

NEAREST = 1e-3  # to the data, where a velocity that leads to given data would be divided by zero


def clamp_data(velocity: Velocity, limit: float) -> Velocity:
    """Bent where it leads to data further than `limit` from zero; 0 for no limit.

    One reading of PDM's "clamped in sampling": of values.
    """
    if limit == 0:
        return velocity

    def clamped_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        found = velocity(pyramid, t)
        left = [time.clamp_min(NEAREST) for time in by_level(1 - t.clamp(0, 1), len(pyramid))]
        return tuple(
            (((x + time * v).clamp(-limit, limit) - x) / time).to(v.dtype)
            for x, v, time in zip(pyramid, found, left, strict=True)
        )

    return clamped_velocity


def apply_guidance(
    velocity: Velocity, guide: Velocity, scale: float, interval: tuple[float, float]
) -> Velocity:
    """Guidance (CFG): the velocity away from a worse model's, guide + scale (velocity - guide).

    With the same network without its condition as the guide, it is classifier-free guidance (Ho and
    Salimans, arXiv:2207.12598); with a smaller or less trained one it is autoguidance (Karras et
    al., arXiv:2406.02507). Velocities are linear in the score at each time, so the formula is
    theirs.

    Args:
        velocity, guide: Of the same pyramids and times.
        scale: 1 is the velocity itself, to the bit, and the guide is never asked; 0 is the guide.
        interval: Of times, each level's own where they differ; outside of it there is no guidance
            (Kynkäänniemi et al., arXiv:2404.07724). Its ends belong to it.
    """
    if scale == 1:
        return velocity
    start, end = interval

    def guided_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        found = velocity(pyramid, t)
        inside = (t >= start) & (t <= end)
        if not inside.any():
            return found
        worse = guide(pyramid, t)
        return tuple(
            torch.where(here, w + scale * (v - w), v)
            for v, w, here in zip(found, worse, by_level(inside, len(pyramid)), strict=True)
        )

    return guided_velocity


def observe(velocity: Velocity, see: Callable[[Pyramid, Tensor], None]) -> Velocity:
    """The same; each call also shows the data that the velocity leads to, x + (1 - t) v, and t."""

    def observed_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        found = velocity(pyramid, t)
        left = by_level(1 - t.clamp(0, 1), len(pyramid))
        see(tuple(x + time * v for x, v, time in zip(pyramid, found, left, strict=True)), t)
        return found

    return observed_velocity


def clamp_times(velocity: Velocity, margin: float) -> Velocity:
    """Asked at times in [margin, 1 - margin] only; before and after it keeps its values there.

    The other reading of "clamped in sampling": of times, where training had a wider range.
    """

    def inner_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        running = (t >= 0) & (t <= 1)
        return velocity(pyramid, torch.where(running, t.clamp(margin, 1 - margin), t))

    return inner_velocity
