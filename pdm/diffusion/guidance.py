"""Wrappers around a velocity: classifier-free guidance (CFG), autoguidance, clamping.

Each wrapper takes a velocity and gives a velocity. Times are (B,), or (B, levels) where each level
has its own. A level below 0 has not begun, a level above 1 is finished; its velocity is not used.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity, by_level
from pdm.models.levels.parameterisation import MIN_TIME_LEFT
from pdm.models.levels.pyramid import Pyramid

BothVelocities = Callable[[Pyramid, Tensor], tuple[Pyramid, Pyramid]]


def clamp_data(velocity: Velocity, limit: float) -> Velocity:
    """Clamp the data that the velocity predicts, x + (1 - t) v, to [-limit, limit]; 0 for no limit.

    One reading of PDM's "clamped in sampling": its values are clamped.
    """
    if limit == 0:
        return velocity

    def clamped_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        velocities = velocity(pyramid, t)
        left = [time.clamp_min(MIN_TIME_LEFT) for time in by_level(1 - t.clamp(0, 1), len(pyramid))]
        return tuple(
            (((x + time * v).clamp(-limit, limit) - x) / time).to(v.dtype)
            for x, v, time in zip(pyramid, velocities, left, strict=True)
        )

    return clamped_velocity


def apply_guidance(
    velocity: Velocity,
    guide: Velocity,
    scale: float,
    interval: tuple[float, float],
    both: BothVelocities | None = None,
) -> Velocity:
    """Push the velocity away from a worse model's: guide + scale * (velocity - guide).

    If the guide is the same network without its condition, this is classifier-free guidance (CFG;
    Ho and Salimans, arXiv:2207.12598). If it is a smaller or less trained network, this is
    autoguidance (Karras et al., arXiv:2406.02507). A velocity is linear in the score at each time,
    so their formulas for scores hold for velocities.

    Args:
        velocity, guide: Both take the same pyramids and times.
        scale: Guidance scale. 1 gives the velocity itself, bit for bit, and never calls the guide;
            0 gives the guide.
        interval: Times with guidance, ends included (Kynkäänniemi et al., arXiv:2404.07724).
            Where levels have their own times, it applies to each level's.
        both: Gives the velocity and the guide's at once, see `in_one_batch`; None to evaluate one
            after the other.
    """
    if scale == 1:
        return velocity
    start, end = interval
    # Asking whether a time is inside waits for the device, and is worth it only to spare the guide.
    always = start <= 0 and end >= 1

    def guided_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        inside = (t >= start) & (t <= end)
        if not (always or inside.any()):
            return velocity(pyramid, t)
        if both is not None:
            velocities, worse = both(pyramid, t)
        else:
            velocities, worse = velocity(pyramid, t), guide(pyramid, t)
        return tuple(
            torch.where(here, w + scale * (v - w), v)
            for v, w, here in zip(velocities, worse, by_level(inside, len(pyramid)), strict=True)
        )

    return guided_velocity


def in_one_batch(velocity: Velocity) -> BothVelocities:
    """Evaluate a network and itself under another condition in one pass, for `apply_guidance`.

    Args:
        velocity: Takes a batch twice: the first half has the condition, the second the guide's.
    """

    def both_velocities(pyramid: Pyramid, t: Tensor) -> tuple[Pyramid, Pyramid]:
        twice = velocity(tuple(torch.cat([level, level]) for level in pyramid), torch.cat([t, t]))
        halves = [level.chunk(2) for level in twice]
        return tuple(half[0] for half in halves), tuple(half[1] for half in halves)

    return both_velocities


def observe(velocity: Velocity, on_step: Callable[[Pyramid, Tensor], None]) -> Velocity:
    """Pass the predicted data, x + (1 - t) v, and t to `on_step` at each call; change nothing."""

    def observed_velocity(pyramid: Pyramid, t: Tensor) -> Pyramid:
        velocities = velocity(pyramid, t)
        left = by_level(1 - t.clamp(0, 1), len(pyramid))
        on_step(
            tuple(x + time * v for x, v, time in zip(pyramid, velocities, left, strict=True)), t
        )
        return velocities

    return observed_velocity


def clamp_times(velocity: Velocity, margin: float) -> Velocity:
    """Call the velocity at times in [margin, 1 - margin] only; outside, use the nearer end's value.

    The other reading of "clamped in sampling": times are clamped, where training had a wider range.
    """

    def velocity_at_clamped_times(pyramid: Pyramid, t: Tensor) -> Pyramid:
        running = (t >= 0) & (t <= 1)
        return velocity(pyramid, torch.where(running, t.clamp(margin, 1 - margin), t))

    return velocity_at_clamped_times
