"""Adaptive Runge-Kutta sampler (RK45): each image takes steps as long as its own error allows.

It uses the Dormand-Prince pair of orders five and four (J. Comput. Appl. Math. 6, 1980), like
scipy's RK45 and the published sampler of rectified flow. Those take one error over the whole
batch, so an image's steps depend on its neighbours; here every image has its own time and step.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.diffusion.sampling_times import for_each_level, step_lengths
from pdm.models.levels.pyramid import Pyramid

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Weights of order five minus those of order four: the estimate of a step's error.
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
# A step's length over the previous one's: safety factor and limits, as in scipy.
SAFETY, MIN_FACTOR, MAX_FACTOR = 0.9, 0.2, 10.0
FIRST_STEP = 0.05  # as a fraction of the time between two stops
SHORTEST_STEP = 1e-5  # accepted whatever its error, so that sampling always ends


def runge_kutta(
    velocity: Velocity,
    noise: Pyramid,
    times: Tensor,
    *,
    tolerance: float,
    narrowed: Callable[[list[int]], Velocity] | None = None,
) -> Pyramid:
    """Solve by order five, with the estimated error of each step below a tolerance.

    Args:
        velocity: Called with different times within a batch, and only for the images that have
            not reached their end.
        noise: One row for each image.
        times: Stops, each reached exactly; between two stops every level's time is linear.
        tolerance: Largest error of a step relative to 1 + |x|: the root mean square over a level's
            values and then over the levels.
        narrowed: Gives the velocity for the images of some rows only, where it differs between
            images; None where one velocity serves all.
    """
    pyramid = noise
    steps = torch.full((len(noise[0]),), FIRST_STEP, device=noise[0].device)
    ends = itertools.pairwise(times.float().to(steps.device))
    for (start, end), lengths in zip(ends, step_lengths(times.float()), strict=True):
        velocity_of = narrowed or (lambda rows: velocity)
        segment = _Segment(velocity_of, start, end, lengths, tolerance)
        pyramid, steps = segment.advance(pyramid, steps)
    return pyramid


@dataclass(frozen=True)
class _Segment:
    """The trajectory between two stops, with a time s of its own that runs from 0 to 1."""

    velocity_of: Callable[[list[int]], Velocity]
    start: Tensor  # () or (levels,)
    end: Tensor
    lengths: Sequence[float]  # how far each level moves; numbers, since to read a GPU would wait
    tolerance: float

    def advance(self, pyramid: Pyramid, steps: Tensor) -> tuple[Pyramid, Tensor]:
        """Move all images to the end; also give the length of each one's next step."""
        pyramid, steps = tuple(level.clone() for level in pyramid), steps.clone()
        s = torch.zeros_like(steps)
        rows = torch.arange(len(s), device=s.device)
        velocity = self.velocity_of(rows.tolist())
        slopes = self.slopes(velocity, pyramid, s)
        while len(rows):
            current, proposed = tuple(level[rows] for level in pyramid), steps[rows]
            step = torch.minimum(proposed, 1 - s[rows])
            reached, last, error = self.step(velocity, current, slopes, s[rows], step)
            accepted, lost, steps[rows] = _judge(error, step, proposed)
            moves_on = (step < 1 - s[rows]) & ~lost
            s[rows[accepted]] = torch.where(moves_on, s[rows] + step, 1.0)[accepted]
            for level, new in zip(pyramid, reached, strict=True):
                level[rows[accepted]] = new[accepted]
            slopes = tuple(
                torch.where(accepted.view(-1, 1, 1, 1), new, old)
                for new, old in zip(last, slopes, strict=True)
            )
            unfinished = s[rows] < 1
            if not unfinished.all():
                rows, slopes = rows[unfinished], tuple(slope[unfinished] for slope in slopes)
                velocity = self.velocity_of(rows.tolist())
        return pyramid, steps

    def slopes(self, velocity: Velocity, pyramid: Pyramid, s: Tensor) -> Pyramid:
        """Derivative of every level with respect to s (rows,)."""
        length = self.end - self.start
        times = self.start + s.view(-1, *[1] * length.ndim) * length
        velocities = velocity(pyramid, times)
        return tuple(
            own * v if own else torch.zeros_like(v)
            for v, own in zip(velocities, for_each_level(self.lengths, len(pyramid)), strict=True)
        )

    def step(
        self, velocity: Velocity, start: Pyramid, slope: Pyramid, s: Tensor, step: Tensor
    ) -> tuple[Pyramid, Pyramid, Tensor]:
        """Return the end of a step, the slope there, and each image's error over the
        tolerance."""
        slopes = [slope]
        for node, weights in zip(NODES[1:], STAGES, strict=True):
            reached = _combine(start, slopes, weights, step)
            slopes.append(self.slopes(velocity, reached, s + node * step))
        zero = tuple(torch.zeros_like(level) for level in start)
        squares = [
            (difference / (1 + torch.maximum(a.abs(), b.abs()))).square().mean((1, 2, 3))
            for difference, a, b in zip(
                _combine(zero, slopes, ERRORS, step), start, reached, strict=True
            )
        ]
        error = torch.stack(squares).mean(0).sqrt().float() / self.tolerance
        return reached, slopes[-1], error


def _judge(error: Tensor, step: Tensor, proposed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Judge the steps of some images by their errors over the tolerance.

    Args:
        error: (rows,); not a number where the result is not finite.
        step: (rows,), the lengths that were taken.
        proposed: (rows,), the lengths before the end of the segment cut some short.

    Returns:
        Which steps are accepted, which images are given up, and the lengths of the next steps.
    """
    # An image that is not finite after the shortest step, either, is given up.
    lost = error.isnan() & (step <= SHORTEST_STEP)
    error = torch.where(error.isnan(), torch.inf, error)
    accepted = (error <= 1) | (step <= SHORTEST_STEP)
    factor = (SAFETY * error.clamp_min(1e-10) ** -0.2).clamp(MIN_FACTOR, MAX_FACTOR)
    # A step cut short by the end of the segment says little about how long the next may be.
    cut_short = accepted & (step < proposed)
    following = torch.where(cut_short, proposed, (step * factor).clamp_min(SHORTEST_STEP))
    return accepted, lost, following


def _combine(
    start: Pyramid, slopes: Sequence[Pyramid], weights: Sequence[float], step: Tensor
) -> Pyramid:
    """Add to the start a step along a weighted sum of slopes."""
    lengths = step.view(-1, 1, 1, 1)
    return tuple(
        x + lengths.to(x.dtype) * sum(w * v for w, v in zip(weights, level, strict=True))
        for x, *level in zip(start, *slopes, strict=True)
    )
