"""Interleaved timing.

A side is timed by turns with its peer (ours, peer, ours, peer, ...), after one run of each that
does not count.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seconds:
    """What one run took: by the clock, and on the processor (with child processes that ended)."""

    wall: float
    cpu: float


def timed(work: Callable[[], Any]) -> Seconds:
    wall, cpu = time.perf_counter(), _cpu_seconds()
    work()
    return Seconds(time.perf_counter() - wall, _cpu_seconds() - cpu)


def interleaved(rounds: int, *sides: Callable[[], Seconds]) -> list[list[Seconds]]:
    """Run each side in turn, `rounds` times after one that does not count; a list for each side."""
    for side in sides:
        side()
    found = [[side() for side in sides] for _ in range(rounds)]
    return [list(column) for column in zip(*found, strict=True)]


def speeds(amount: float, seconds: list[float]) -> list[float]:
    return [amount / one for one in seconds]


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
