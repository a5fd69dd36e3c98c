"""Keeps the runs of long comparisons in docs/results: all runs as JSON, and the table of them."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdm.files import whole_file, write_json

Run = dict[str, Any]


class Results:
    """Runs, one of each design, source, length and seed; a new one takes the place of its like."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = json.loads(path.read_text())["runs"] if path.exists() else []

    def add(self, run: Run) -> None:
        self.runs = [one for one in self.runs if _which(one) != _which(run)] + [run]

    def write(self, page: Path, table: Callable[[list[Run]], str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"runs": self.runs})
        with whole_file(page) as temporary:
            temporary.write_text(table(self.runs), encoding="utf-8")


def _which(run: Run) -> tuple[str, str | None, str, int]:
    return run["design"], run.get("source"), length(run), run["seed"]


def length(run: Run) -> str:
    """Of the training, in words."""
    return f"{run['seconds']:g} s" if run["seconds"] else f"{run['images']:,} images"


def grouped(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Runs by length (seconds before images, the longest first) and design, each by seed."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(
        runs, key=lambda run: (-(run["seconds"] or 0), -(run["images"] or 0), run["seed"])
    ):
        groups.setdefault((length(run), run["design"]), []).append(run)
    return groups


def facts(runs: list[Run], command: str) -> str:
    """By what command, commit and machine the runs of a page were made."""
    machine = runs[-1]["machine"]
    commits = ", ".join(sorted({run["machine"]["git"] for run in runs}))
    return (
        f"Made by `benchmarks/quality.py {command}`, which says how; commits {commits}; one "
        f"thread of {machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['versions']['torch']}. Crops of 64x64 px, whole pictures held out. "
        "Seconds are of the processor. Mean ± standard deviation over the seeds."
    )


def spread(values: list[float], digits: int) -> str:
    """Mean, and standard deviation where there are several."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"
