"""Sampling times: the stops of a sampler between noise (t = 0) and data (t = 1).

They are (stops,) where all levels share one time, or (stops, levels), coarse to fine, where each
level has its own. A level below 0 has not begun, a level above 1 is finished.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pdm.config.networks.unet import Windows

MIN_GAP = 1e-6  # least distance of other stops from the end of a window
Time = TypeVar("Time", float, Tensor)


def even_times(steps: int) -> Tensor:
    """Return the ends of equal steps, (steps + 1,) in float64: 0, 1 / steps, ..., 1."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def shift_time(t: Time, shift: float) -> Time:
    """Shift times towards noise, for larger images than the noise schedule was made for.

    Neighbouring pixels of a larger image are more alike, so the same noise hides less of it.
    Esser et al. (arXiv:2403.03206, section 5.3.2) keep the hidden part the same: they map u = 1 - t
    to u' = s u / (1 + (s - 1) u), where s is the root of the ratio of the numbers of pixels.

    Args:
        t: In [0, 1], a number or a tensor; 0 and 1 do not move.
        shift: s. 1 moves nothing; more than 1 moves times towards noise.
    """
    return t / (shift - (shift - 1) * t)


def stops_in_windows(times: Tensor, windows: Windows) -> Tensor:
    """Turn stops (stops,) between 0 and 1 into times of each level, (stops, levels).

    A level runs from 0 to 1 within its window. The ends of the windows become stops too, so that no
    step begins before a level's start and ends after it. They replace stops next to them: one that
    rounding puts just before a level's start would count as not begun.
    """
    ends = torch.tensor(sorted({end for each in windows for end in each}), dtype=times.dtype)
    is_apart = (times[:, None] - ends).abs().amin(dim=1) > MIN_GAP
    return times_in_windows(torch.cat([times[is_apart], ends]).sort().values, windows)


def times_in_windows(times: Tensor, windows: Windows) -> Tensor:
    """Return the levels' times (n, levels) at times (n,) of the image, from noise 0 to data 1."""
    starts, ends = torch.tensor(windows, dtype=times.dtype, device=times.device).unbind(1)
    return (times[:, None] - starts) / (ends - starts)


def step_lengths(times: Tensor) -> list[list[float]]:
    """Return the length of each step between stops: one number, or one per level."""
    steps: Tensor = times.clamp(0, 1).diff(dim=0)
    rows: list[list[float]] = steps.reshape(len(steps), -1).tolist()
    return rows


def for_each_level(values: Sequence[float], num_levels: int) -> Sequence[float]:
    """Return one value for each level, of values that are one for all levels or one for each."""
    return values if len(values) > 1 else [*values] * num_levels
