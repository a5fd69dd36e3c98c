"""Images per second of the default trainings in a process with all cores.

The peer is this project's own code before trainings were made faster, read from the repository's
history: the same default networks, threads that sleep while they wait (OMP_WAIT_POLICY=PASSIVE), a
loader with a team of threads of its own, freed memory that goes back to the system, an EMA and
spectral norms that work weight by weight. The same beside two busy processes.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.checkout import ROOT, unpack_commit
from benchmarks.shared.ratios import Ratio, compare
from pdm.machine.openmp import SETTINGS

MODELS = ("autoencoder", "diffusion")
BEFORE = "2d3ffc2"  # its script has a switch for the code before that commit


@dataclass(frozen=True)
class Size:
    rounds: int
    busy_processes: tuple[int, ...]


FULL = Size(rounds=3, busy_processes=(0, 2))
QUICK = Size(rounds=1, busy_processes=(0,))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Both trainings, before and now in turn."""
    old = folder / "before"
    unpack_commit(BEFORE, old, "pdm", "benchmarks", "params.yaml")
    lines = []
    for busy in size.busy_processes:
        for model in MODELS:
            with _busy(busy):
                pairs = [(_speed_before(old, model), _speed_now(model)) for _ in range(size.rounds)]
            where = f", beside {busy} busy processes" if busy else ""
            lines.append(_line(model, where, busy, pairs))
    return lines


def _speed_now(model: str) -> float:
    return _images_per_second(ROOT / "benchmarks/parts/training/train_speed.py", [model], SETTINGS)


def _speed_before(code: Path, model: str) -> float:
    script, policy = code / "benchmarks/train_speed.py", {"OMP_WAIT_POLICY": "PASSIVE"}
    return _images_per_second(script, [model, "before"], policy)


def _images_per_second(script: Path, words: list[str], settings: dict[str, str]) -> float:
    """Run the script in a process of its own, with its own project's code."""
    hidden = ("GOMP_", "OMP_", "MKL_", "OPENBLAS_NUM", "PYTHONPATH")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, str(script), *words],
        env=plain | settings,
        cwd=script.parent,
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
    return compare(
        key,
        f"images/s of the default {model}'s training{where}, against {BEFORE}^",
        [now for _, now in pairs],
        [before for before, _ in pairs],
        "images/s",
        goal="at least 0.9" if busy else "at least 1.7",
        note="the same network, random data in memory, one process with all cores, without Ray",
    )
