"""Where on the way from noise (t = 0) to data (t = 1) a sampler stops by.

Stops are (stops,) for one time that all levels share, or (stops, levels), coarse to fine, for a
time of its own for each level: below 0 a level has not begun, above 1 it is finished.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

Windows = Sequence[tuple[float, float]]  # where on the way each level runs, coarse to fine
NEAR = 1e-6  # stops nearer to each other are one
Time = TypeVar("Time", float, Tensor)


def even_times(steps: int) -> Tensor:
    """The ends of equal steps, (steps + 1,) in float64: 0, 1 / steps, ..., 1."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def shift_time(t: Time, shift: float) -> Time:
    """Times moved towards noise, for pictures of more pixels than the schedule was made for.

    In a larger picture more neighbours tell the same, so the same noise hides less of it. Esser et
    al. (arXiv:2403.03206, section 5.3.2) keep the hidden share: of shares of noise u = 1 - t,
    u' = s u / (1 + (s - 1) u), s being the root of the ratio of the numbers of pixels.

    Args:
        t: In [0, 1], a number or a tensor; the ends stay.
        shift: 1 moves nothing, more than 1 towards noise.
    """
    return t / (shift - (shift - 1) * t)


def times_by_level(times: Tensor, windows: Windows) -> Tensor:
    """Stops (stops,) on the way from 0 to 1 as times of each level, (stops, levels).

    A level runs from 0 to 1 within its window. The windows' ends become stops too, so that no step
    begins before a level does and ends after.
    """
    ends = torch.tensor(windows, dtype=times.dtype)
    way = torch.cat([times, ends.flatten()]).sort().values
    way = way[torch.cat([way.new_ones(1), way.diff()]) > NEAR]
    return level_times(way, windows)


def level_times(way: Tensor, windows: Windows) -> Tensor:
    """Times (n, levels) of the levels where a picture is this far on its way (n,)."""
    starts, ends = torch.tensor(windows, dtype=way.dtype, device=way.device).unbind(1)
    return (way[:, None] - starts) / (ends - starts)


def step_lengths(times: Tensor) -> list[list[float]]:
    """How far each step from stop to stop leads: for each step, one number or one per level."""
    steps: Tensor = times.clamp(0, 1).diff(dim=0)
    rows: list[list[float]] = steps.reshape(len(steps), -1).tolist()
    return rows
