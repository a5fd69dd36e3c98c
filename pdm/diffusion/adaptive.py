"""Runge and Kutta's method with steps as long as the error allows, for each picture by itself.

Dormand and Prince's pair of orders five and four (J. Comput. Appl. Math. 6, 1980), as scipy's RK45
and rectified flow's published sampler use it. There one error is taken over the whole batch, so a
picture's steps depend on its neighbours; here every picture has its own time and its own step.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdm.diffusion.flow import Velocity
from pdm.models.pyramid import Pyramid

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# Fifth order less fourth: what the step is thought to be wrong by.
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
SAFETY, LEAST, MOST = 0.9, 0.2, 10.0  # of a step's length over the last one's; scipy's choice
FIRST_STEP = 0.05  # steps are shares of the way between two stops
SHORTEST_STEP = 1e-5  # is taken whatever its error, so that a wild velocity ends, too


def runge_kutta(
    velocity: Velocity,
    noise: Pyramid,
    times: Tensor,
    *,
    tolerance: float,
    narrowed: Callable[[list[int]], Velocity] | None = None,
) -> Pyramid:
    """Fifth order, with the error of each step below a tolerance.

    Args:
        velocity: Is asked for different times within a batch, and for the pictures only that are
            not at their end.
        noise: One row for each picture.
        times: Each stop is reached exactly; between two of them every level's time runs evenly.
        tolerance: Of each step's error, relative to 1 + |x|, as root mean square over a level's
            values and then over the levels.
        narrowed: The velocity of these rows' pictures alone, where it differs between pictures.
    """
    pyramid = noise
    steps = torch.full((len(noise[0]),), FIRST_STEP, device=noise[0].device)
    for start, end in itertools.pairwise(times.float().to(steps.device)):
        leg = _Leg(narrowed or (lambda rows: velocity), start, end, tolerance)
        pyramid, steps = leg.advance(pyramid, steps)
    return pyramid


@dataclass(frozen=True)
class _Leg:
    """The way between two stops. Its own time s, in [0, 1], is the share that lies behind."""

    velocity_of: Callable[[list[int]], Velocity]
    start: Tensor  # () or (levels,)
    end: Tensor
    tolerance: float

    def advance(self, pyramid: Pyramid, steps: Tensor) -> tuple[Pyramid, Tensor]:
        """All pictures at the end, and the lengths of the steps they would take next."""
        pyramid, steps = tuple(level.clone() for level in pyramid), steps.clone()
        s = torch.zeros_like(steps)
        rows = torch.arange(len(s), device=s.device)
        velocity = self.velocity_of(rows.tolist())
        slopes = self.slopes(velocity, pyramid, s)
        while len(rows):
            here, wish = tuple(level[rows] for level in pyramid), steps[rows]
            step = torch.minimum(wish, 1 - s[rows])
            reached, last, error = self.step(velocity, here, slopes, s[rows], step)
            taken = (error <= 1) | (step <= SHORTEST_STEP)
            factor = (SAFETY * error.clamp_min(1e-10) ** -0.2).clamp(LEAST, MOST)
            # A step cut short by the end of the leg says little about how long the next may be.
            cut_short = taken & (step < wish)
            steps[rows] = torch.where(cut_short, wish, (step * factor).clamp_min(SHORTEST_STEP))
            s[rows[taken]] = torch.where(step < 1 - s[rows], s[rows] + step, 1.0)[taken]
            for level, found in zip(pyramid, reached, strict=True):
                level[rows[taken]] = found[taken]
            slopes = tuple(
                torch.where(taken.view(-1, 1, 1, 1), new, old)
                for new, old in zip(last, slopes, strict=True)
            )
            left = s[rows] < 1
            if not left.all():
                rows, slopes = rows[left], tuple(slope[left] for slope in slopes)
                velocity = self.velocity_of(rows.tolist())
        return pyramid, steps

    def slopes(self, velocity: Velocity, pyramid: Pyramid, s: Tensor) -> Pyramid:
        """Change of every level with s (rows,)."""
        way = self.end - self.start
        times = self.start + s.view(-1, *[1] * way.ndim) * way
        lengths = (self.end.clamp(0, 1) - self.start.clamp(0, 1)).expand(len(pyramid))
        found = velocity(pyramid, times)
        return tuple(
            length.to(v.dtype) * v if length else torch.zeros_like(v)
            for v, length in zip(found, lengths, strict=True)
        )

    def step(
        self, velocity: Velocity, start: Pyramid, slope: Pyramid, s: Tensor, step: Tensor
    ) -> tuple[Pyramid, Pyramid, Tensor]:
        """Where a step leads, the slope there, and each picture's error over the tolerance."""
        slopes = [slope]
        for node, weights in zip(NODES[1:], STAGES, strict=True):
            reached = _combine(start, slopes, weights, step)
            slopes.append(self.slopes(velocity, reached, s + node * step))
        zero = tuple(torch.zeros_like(level) for level in start)
        squares = [
            (wrong / (1 + torch.maximum(a.abs(), b.abs()))).square().mean((1, 2, 3))
            for wrong, a, b in zip(
                _combine(zero, slopes, ERRORS, step), start, reached, strict=True
            )
        ]
        error = torch.stack(squares).mean(0).sqrt().float() / self.tolerance
        return reached, slopes[-1], error


def _combine(
    start: Pyramid, slopes: Sequence[Pyramid], weights: Sequence[float], step: Tensor
) -> Pyramid:
    """The start plus a step along a weighted sum of slopes."""
    lengths = step.view(-1, 1, 1, 1)
    return tuple(
        x + lengths.to(x.dtype) * sum(w * v for w, v in zip(weights, level, strict=True))
        for x, *level in zip(start, *slopes, strict=True)
    )
