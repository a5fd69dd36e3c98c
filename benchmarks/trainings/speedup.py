"""Images per second of the default trainings in a process with all cores.

The peer is the same loop as it was earlier: threads that sleep while they wait
(OMP_WAIT_POLICY=PASSIVE), a loader with a team of threads of its own, and freed memory that goes
back to the system. The same beside two busy processes.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import ROOT, Ratio
from pdm.openmp import SETTINGS

MODELS = ("autoencoder", "diffusion")


@dataclass(frozen=True)
class Size:
    rounds: int
    busy_processes: tuple[int, ...]


FULL = Size(rounds=3, busy_processes=(0, 2))
QUICK = Size(rounds=1, busy_processes=(0,))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Both trainings, before and now in turn."""
    lines = []
    for busy in size.busy_processes:
        for model in MODELS:
            with _busy(busy):
                pairs = [(_speed(model, ["before"]), _speed(model)) for _ in range(size.rounds)]
            where = f", beside {busy} busy processes" if busy else ""
            lines.append(_line(model, where, busy, pairs))
    return lines


def _speed(model: str, before: list[str] | None = None) -> float:
    """Images/s of one process."""
    hidden = ("GOMP_", "OMP_", "MKL_", "OPENBLAS_NUM")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    policy = {"OMP_WAIT_POLICY": "PASSIVE"} if before else SETTINGS
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/trainings/train_speed.py"), model, *(before or [])],
        env=plain | policy,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Other processes that compute all the time."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _line(model: str, where: str, busy: int, pairs: list[tuple[float, float]]) -> Ratio:
    key = f"train_speedup_{model}" if not busy else f"busy_train_speedup_{model}"
    return Ratio(
        key=key,
        question=f"images/s of the default {model}'s training{where}, against as it was",
        ours=statistics.median(now for _, now in pairs),
        peer=statistics.median(before for before, _ in pairs),
        unit="images/s",
        values=tuple(now / before for before, now in pairs),
        goal="at least 0.9" if busy else "at least 1.7",
        note="random data in memory, one process with all cores, without Ray",
    )
