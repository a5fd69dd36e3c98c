"""The command `pyramid compare`: runs from MLflow or from folders, on one page and in a table."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pdm.comparison import folders, tracked
from pdm.comparison.page import write_page
from pdm.comparison.run import Run
from pdm.comparison.table import WIDTH, table
from pdm.comparison.verdicts import best
from pdm.errors import BadInput
from pdm.scores.names import main_score
from pdm.scratch_folders import scratch_folder
from pdm.tracking.reader import Reader

MAX_RUNS = 8  # more colours are hard to distinguish


def compare(
    names: Sequence[str],
    *,
    experiment: str | None = None,
    num_best: int | None = None,
    output: Path,
    width: int = WIDTH,
) -> str:
    """Write the page; return a table for the terminal, and what was left out.

    Args:
        names: Folders, beginnings of ids of MLflow runs, or keys of pipeline runs.
        experiment: Compare the newest `MAX_RUNS` scored pipeline runs of this experiment instead.
        num_best: Number of runs of the experiment to compare, those with the best main score; at
            most `MAX_RUNS` of them.
        output: HTML file to write; self-contained.
        width: Characters of a line of the table.

    Raises:
        BadInput: A run is not known, a name matches several, or there are too few or too many runs.
        Unavailable: MLflow cannot be reached.
    """
    left_out: list[str] = []
    with scratch_folder("compare") as scratch:
        if names:
            if experiment is not None or num_best is not None:
                raise BadInput("give either names of runs, or --experiment and --best")
            runs = _named(names, scratch)
        else:
            runs, left_out = _of_experiment(experiment, num_best, scratch)
        if len(runs) > MAX_RUNS:
            raise BadInput(
                f"{len(runs)} runs are too many for one page; compare at most {MAX_RUNS}"
            )
        runs = _with_distinct_names(runs)
        write_page(runs, output)
    return "\n".join([table(runs, width), "", *left_out, f"the page: {output}"])


def _named(names: Sequence[str], scratch: Path) -> list[Run]:
    reader: Reader | None = None
    runs = []
    for number, name in enumerate(names):
        if Path(name).is_dir():
            runs.append(folders.read(Path(name)))
        else:
            reader = reader or Reader()
            runs.append(tracked.read(reader, reader.find(name), scratch / str(number)))
    origins = [run.origin for run in runs]
    twice = next((origin for origin in origins if origins.count(origin) > 1), None)
    if twice is not None:
        raise BadInput(f"the run {twice} is named twice; name each run once")
    return runs


def _of_experiment(
    experiment: str | None, num_best: int | None, scratch: Path
) -> tuple[list[Run], list[str]]:
    """Return the runs to compare, and sentences that count those left out although wanted."""
    if num_best is not None and num_best < 1:
        raise BadInput(f"--best is {num_best}; it must be at least 1")
    reader = Reader()
    selected = reader.of_experiment(experiment)
    left_out = []
    if num_best is not None:
        score = main_score(*(run.stages["evaluate"].metrics for run in selected))
        ranked = [run for run in selected if score in run.stages["evaluate"].metrics]
        if num_unranked := len(selected) - len(ranked):
            left_out.append(f"runs left out without the score {score}: {num_unranked}")
        ranked.sort(key=lambda run: run.stages["evaluate"].metrics[score])
        selected = ranked[:num_best]
    if len(selected) > MAX_RUNS:
        left_out.append(
            f"runs left out: {len(selected) - MAX_RUNS} of {len(selected)}; a page shows the "
            f"{'newest' if num_best is None else 'best'} {MAX_RUNS}"
        )
        selected = selected[:MAX_RUNS]
    runs = [tracked.read(reader, run, scratch / str(place)) for place, run in enumerate(selected)]
    return (best(runs, num_best) if num_best is not None else runs), left_out


def _with_distinct_names(runs: list[Run]) -> list[Run]:
    """Add the beginning of the origin to names that are equal."""
    names = [run.name for run in runs]
    return [
        dataclasses.replace(run, name=f"{run.name} ({run.origin[:6]})")
        if names.count(run.name) > 1
        else run
        for run in runs
    ]
