"""Keeps the runs of long comparisons in docs/results: every run as JSON, and a page of tables."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdm.files import atomic_file, write_json

Run = dict[str, Any]


class Results:
    """Runs, one for each design, source, length and seed; a new run replaces the old one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = json.loads(path.read_text())["runs"] if path.exists() else []

    def find(self, run: Run) -> Run | None:
        """The run of the same design, source, length and seed, if there is one."""
        found = (one for one in self.runs if _identity(one) == _identity(run))
        return next(found, None)

    def has(self, run: Run) -> bool:
        """Whether there is a run of the same design, source, length and seed."""
        return self.find(run) is not None

    def add(self, run: Run) -> None:
        self.runs = [one for one in self.runs if _identity(one) != _identity(run)] + [run]

    def write(self, page: Path, table: Callable[[list[Run]], str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"runs": self.runs})
        with atomic_file(page) as temporary:
            temporary.write_text(table(self.runs), encoding="utf-8")


def _identity(run: Run) -> tuple[str, str | None, str, int]:
    return run["design"], run.get("source"), training_length(run), run["seed"]


def training_length(run: Run) -> str:
    """How long a run trained, in words."""
    return f"{run['seconds']:g} s" if run["seconds"] else f"{run['images']:,} images"


def group_runs(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Runs by length (seconds before images, the longest first) and design, each sorted by seed."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(
        runs, key=lambda run: (-(run["seconds"] or 0), -(run["images"] or 0), run["seed"])
    ):
        groups.setdefault((training_length(run), run["design"]), []).append(run)
    return groups


def provenance(runs: list[Run], command: str, script: str = "quality.py") -> str:
    """Command, commits and machines that the runs of a page come from."""
    commits = ", ".join(sorted({run["machine"]["git"] for run in runs}))
    made = [run["machine"] for run in runs]
    machines = sorted({f"{one['processor']} ({one['cores']} cores)" for one in made})
    versions = sorted({one["versions"]["torch"] for one in made})
    return (
        f"Made by `benchmarks/{script} {command}`, which says how; commits {commits}; one "
        f"thread of {' or '.join(machines)}, torch {' or '.join(versions)}. Crops "
        "of 64x64 px, whole pictures held out. Seconds are of the processor. Mean ± standard "
        "deviation over the seeds."
    )


def mean_and_deviation(values: list[float], digits: int) -> str:
    """Mean, with the standard deviation if there are several values."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"
