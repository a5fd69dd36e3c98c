"""Stops of a sampler where the per-level times are related by `LevelTimesConfig`.

All functions return times (steps + 1, levels), coarse to fine: with any rule, a sampler takes as
many steps as it was asked for. As elsewhere, a level below 0 has not begun, and one above 1 is
finished. A level begins exactly at a stop, with time 0, and finishes exactly at one, with time 1.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from pdm.config.networks.level_times import LevelTimesConfig
from pdm.config.networks.unet import Windows
from pdm.diffusion.sampling_times import even_times, shift_time, stops_in_windows, times_in_windows
from pdm.errors import BadInput

NOT_BEGUN = -1.0
Schedule = Windows | LevelTimesConfig


def sampler_stops(steps: int, shift: float, schedule: Schedule | None, num_levels: int) -> Tensor:
    """Return the stops of a sampler: (stops,), or (stops, levels) with per-level times.

    Args:
        steps: Steps to take; with windows, one more for each inner end of a window.
        shift: Shift towards noise, see `shift_time`.
        schedule: How the levels' times are related; None where all share one.
        num_levels: Of the pyramid.

    Raises:
        BadInput: The steps are too few for the schedule, see `min_steps`.
    """
    if schedule is None:
        return shift_time(even_times(steps), shift)
    if not isinstance(schedule, LevelTimesConfig):
        return stops_in_windows(shift_time(even_times(steps), shift), schedule)
    least = min_steps(schedule, num_levels)
    if steps < least:
        raise BadInput(
            f"sample.steps is {steps}, but diffusion.model.level_times (kind {schedule.kind}, "
            f"{num_levels} levels) needs at least {least}: at least one between two consecutive "
            "times at which a level starts or finishes"
        )
    if schedule.kind == "stages":
        return _stops_of_stages(steps, shift, schedule)
    if schedule.kind == "offset":
        return _stops_of_windows(steps, shift, offset_windows(schedule, num_levels))
    return shifted_by_level(shift_time(even_times(steps), shift), schedule)


def stops_between_bends(steps: int, schedule: Schedule | None, num_levels: int) -> Tensor:
    """Return the fewest stops between which all levels' times are linear, for adaptive steps.

    Shifted times bend everywhere, so for them the stops are those of `steps` steps.
    """
    shifted = isinstance(schedule, LevelTimesConfig) and schedule.kind == "shifts"
    fewest = steps if shifted else min_steps(schedule, num_levels)
    return sampler_stops(fewest, 1.0, schedule, num_levels)


def min_steps(schedule: Schedule | None, num_levels: int) -> int:
    """Return the fewest steps: one between two consecutive times at which a level starts or
    finishes."""
    if isinstance(schedule, LevelTimesConfig):
        if schedule.stage_levels is not None:
            return len(schedule.stage_levels)
        if schedule.kind == "offset":
            return len(_ends(offset_windows(schedule, num_levels))) - 1
    return 1


def offset_windows(config: LevelTimesConfig, num_levels: int) -> Windows:
    """Return the windows in which each level lags behind the coarser one by an equal offset.

    In a time of 1 + offset in all, every level takes a time of 1.
    """
    assert config.offset is not None
    whole, lag = 1 + config.offset, config.offset / (num_levels - 1)
    starts = [k * lag for k in range(num_levels)]
    # Rounded, so that an end and a start at the same place are equal numbers.
    return tuple((round(start / whole, 12), round((start + 1) / whole, 12)) for start in starts)


def shifted_by_level(times: Tensor, config: LevelTimesConfig) -> Tensor:
    """Shift common times (n,) by the shift of each level, (n, levels)."""
    assert config.shifts is not None
    return torch.stack([shift_time(times, shift) for shift in config.shifts], dim=1)


def split_steps(steps: int, shares: Sequence[float]) -> list[int]:
    """Split steps by shares, at least one each, as evenly as whole numbers allow."""
    counts, total = [1] * len(shares), sum(shares)
    for _ in range(steps - len(shares)):
        lacking = [steps * one / total - count for one, count in zip(shares, counts, strict=True)]
        counts[lacking.index(max(lacking))] += 1
    return counts


def _stops_of_windows(steps: int, shift: float, windows: Windows) -> Tensor:
    """Spread even steps, then shifted, over the parts between the ends of all windows."""
    ends = torch.tensor(_ends(windows), dtype=torch.float64)
    even = shift_time(ends, 1 / shift)  # the ends before the shift
    parts = []
    for part, count in enumerate(split_steps(steps, even.diff().tolist())):
        stops = shift_time(torch.lerp(even[part], even[part + 1], even_times(count)), shift)
        stops[0] = ends[part]  # exactly, so that the level has begun there
        parts.append(stops[:-1])
    return times_in_windows(torch.cat([*parts, ends[-1:]]), windows)


def _stops_of_stages(steps: int, shift: float, config: LevelTimesConfig) -> Tensor:
    """Draw each stage up to the threshold, the last to its end, while the earlier ones finish.

    An earlier stage runs evenly from the threshold, where the next one began, to the end of
    the sampling, where all stages finish together.
    """
    assert config.stage_levels is not None
    assert config.stage_steps is not None
    assert config.threshold is not None
    total = sum(config.stage_steps)
    borders = [0.0, *(end / total for end in accumulate(config.stage_steps))]
    num_stages, parts = len(config.stage_levels), []
    for stage, count in enumerate(split_steps(steps, config.stage_steps)):
        last = stage == num_stages - 1
        own = shift_time(even_times(count), shift)
        common = borders[stage] + (borders[stage + 1] - borders[stage]) * own
        columns = [
            _finishing(common, border, config.threshold) for border in borders[1 : stage + 1]
        ]
        columns.append(own if last else own * config.threshold)
        columns += [torch.full_like(own, NOT_BEGUN)] * (num_stages - stage - 1)
        rows = torch.stack(columns, dim=1)
        parts.append(rows if last else rows[:-1])
    times = torch.cat(parts).repeat_interleave(torch.tensor(config.stage_levels), dim=1)
    times[-1] = 1.0
    return times


def _finishing(common: Tensor, border: float, threshold: float) -> Tensor:
    """Return an earlier stage's times: the threshold where the next begins, 1 at the end."""
    return threshold + (1 - threshold) * (common - border) / (1 - border)


def _ends(windows: Windows) -> list[float]:
    """List starts and ends of all windows, each once, in order."""
    return sorted({end for window in windows for end in window})
