"""What every benchmark shares: interleaved timing, ratios, the machine's facts, the table.

A side is timed by turns with its peer (ours, peer, ours, peer, ...), after one run of each that
does not count. Every ratio is ours over the peer's in speed, so that more is better, unless its
line says otherwise.
"""

import importlib.metadata
import os
import platform
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.markdown import table_lines

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("numpy", "pillow", "opencv-python-headless", "simplejpeg", "torch", "scipy", "pyarrow"),
    *("ray", "webdataset", "diffusers", "torchmetrics"),
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """What one run took: by the clock, and on the processor (with child processes that ended)."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """A line of the table.

    Args:
        key: Its name in the JSON.
        question: What is compared, in words.
        ours, peer: Medians, in `unit`; no peer where a figure stands by itself.
        values: The ratio in each round; the figure itself, or the difference, where `question`
            says so.
        goal: What it should be, as it is printed; empty if nothing was promised.
        note: What a reader must know to believe it.
    """

    key: str
    question: str
    ours: float
    peer: float | None
    unit: str
    values: tuple[float, ...]
    goal: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)


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


def compare(
    key: str,
    question: str,
    ours: list[float],
    peer: list[float],
    unit: str,
    goal: str = "",
    note: str = "",
) -> Ratio:
    """A line from the speeds of both sides, round by round."""
    values = tuple(one / other for one, other in zip(ours, peer, strict=True))
    medians = statistics.median(ours), statistics.median(peer)
    return Ratio(key, question, *medians, unit, values, goal, note)


def table(lines: list[Ratio]) -> str:
    """The lines as a Markdown table, with their notes below it."""
    heads = ("question", "ours", "peer", "unit", "ratio (least to most)", "goal")
    rows = [
        (
            f"{number}. {line.question} [{line.key}]",
            f"{line.ours:,.4g}",
            "" if line.peer is None else f"{line.peer:,.4g}",
            line.unit,
            f"{line.median:.3g} ({min(line.values):.3g} to {max(line.values):.3g})",
            line.goal,
        )
        for number, line in enumerate(lines, 1)
    ]
    notes = [f"{number}. {line.note}" for number, line in enumerate(lines, 1) if line.note]
    return "\n".join([*table_lines(heads, rows), "", *notes])


def as_json(lines: list[Ratio], **facts: Any) -> dict[str, Any]:
    """One object: the median ratio of each line by its key, then all else that was found."""
    details = {
        line.key: {
            "question": line.question,
            "ours": line.ours,
            "peer": line.peer,
            "unit": line.unit,
            "ratios": [float(f"{value:.4g}") for value in line.values],
            "goal": line.goal,
            "note": line.note,
        }
        for line in lines
    }
    return {line.key: float(f"{line.median:.4g}") for line in lines} | facts | {"details": details}


def machine() -> dict[str, Any]:
    """Commit, processor and versions. `threads` holds unless the note of a line says otherwise."""
    return {
        "git": commit(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "threads": 1,
    }


def commit() -> str:
    """The commit that is checked out, with a plus if files differ from it; "?" without git."""
    if shutil.which("git") is None:
        return "?"
    found = _git("rev-parse", "--short=12", "HEAD")
    return (found or "?") + ("+" if _git("status", "-s") else "")


def load() -> float:
    """Processes that wanted a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _version(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()
