"""The verdicts of a comparison: where settings and data differ, and which run wins each score."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pdm.comparison.run import Run
from pdm.scores.headline import SHOWN, Entry, entry
from pdm.scores.names import FLOOR, INTERVALS, direction, floor, interval, main_score
from pdm.tracking.registry.promotion import NO_EFFECT
from pdm.tracking.registry.replicates import better, difference

LEVELS = "levels_"
Value = TypeVar("Value")
MIN_PAIRS = 3  # shown first; of more than three runs, the pairs with the best one
HIDDEN = (INTERVALS, "counts/")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting or fact, with its value in each run; None where it is missing."""

    name: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One score of one run."""

    value: float | None
    interval: tuple[float, float] | None
    floor: float | None  # the same score of real pictures
    beats: tuple[int, ...]  # numbers of the runs that are worse beyond chance
    wins: bool  # beats all others that have the score


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One score of all runs."""

    name: str
    direction: int
    cells: tuple[Cell, ...]

    @property
    def undecided(self) -> bool:
        """Whether no run wins although one could."""
        scored = [cell for cell in self.cells if cell.value is not None]
        return self.direction != 0 and len(scored) > 1 and not any(cell.wins for cell in scored)


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """A headline score of all runs, and whether one beats all others."""

    title: str
    direction: int
    cells: tuple[tuple[Entry | None, bool], ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """The difference of the main score between two runs; smaller scores are better."""

    first: int  # place of the run
    second: int
    difference: float  # the first's score minus the second's
    interval: tuple[float, float]

    @property
    def better(self) -> int | None:
        """The run that is better beyond chance; None if neither is."""
        low, high = self.interval
        return self.first if high < 0 else self.second if low > 0 else None


def differing(maps: Sequence[Mapping[str, str]]) -> list[Row]:
    """List the entries that differ between the maps, by name."""
    names = sorted({name for mapping in maps for name in mapping})
    rows = [Row(name, tuple(mapping.get(name) for mapping in maps)) for name in names]
    return [row for row in rows if len(set(row.values)) > 1]


def data_version(run: Run) -> str:
    """Return the version of the data that a run was scored on; empty if it is not known."""
    if run.replicates:
        return run.replicates.data_sha256
    return run.facts.get("version of pictures", "")


def reasons_not_to_compare(runs: Sequence[Run]) -> tuple[str, ...]:
    """List why some runs cannot be compared; empty if all can."""
    reasons = []
    for run in runs:
        if not run.scores:
            reasons.append(f"{run.name} has no scores: run `pyramid evaluate` for it")
        elif run.replicates is None:
            reasons.append(f"{run.name} has no bootstrap replicates: evaluate it again")
    scored = [run for run in runs if run.scores]
    if len({data_version(run) for run in scored}) > 1:
        versions = "; ".join(f"{run.name}: {data_version(run)[:12] or '?'}" for run in scored)
        reasons.append(
            f"the runs were scored on different versions of the data ({versions}): their scores "
            "cannot be compared, and there is no winner"
        )
    settings = {run.replicates.setting for run in scored if run.replicates}
    if len(settings) > 1:
        reasons.append(
            "the runs were scored with other seeds or numbers of replicates: their differences "
            "have no interval"
        )
    if not settings_agree(scored):
        reasons.append(
            "the settings of `evaluate` or the size of the images differ: the scores do not "
            "measure the same, and there is no winner"
        )
    return tuple(reasons)


def settings_agree(runs: Sequence[Run]) -> bool:
    """Whether all runs were scored in the same way, as far as their params show."""
    names = {name for run in runs for name in run.params if name.startswith("evaluate.")}
    names |= {f"autoencoder.image_{side}_px" for side in ("height", "width")}
    names -= {f"evaluate.{name}" for name in NO_EFFECT}
    return all(
        len({_number(run.params[name]) for run in runs if name in run.params}) < 2 for name in names
    )


def score_rows(runs: Sequence[Run]) -> list[ScoreRow]:
    """List all scores of any run: the main score, then others that can be won, then the rest.

    Reconstructions from some of the levels are compared only between runs with the same number of
    levels; reconstructions from all levels always are.
    """
    apart = len({_num_levels(run) for run in runs} - {0}) > 1
    runs = [with_all_levels(run) for run in runs]
    names = {name for run in runs for name in run.scores if not name.startswith(HIDDEN)}
    visible = [name for name in names if not name.endswith(FLOOR)]
    judge = settings_agree([run for run in runs if run.scores])
    rows = []
    for name in visible:
        sign = 0 if apart and LEVELS in name else direction(name)
        rows.append(ScoreRow(name, sign, tuple(_cells(runs, name, judge and sign != 0))))
    main = main_score_of(runs)
    return sorted(rows, key=lambda row: (row.direction == 0, row.name != main, row.name))


def main_score_of(runs: Sequence[Run]) -> str:
    """Choose the main score: one that all scored runs have."""
    return main_score(*(run.scores for run in runs if run.scores))


def headline_rows(runs: Sequence[Run]) -> list[HeadlineRow]:
    """List the headline scores of any run. There is a winner only if all runs use the same score
    for it."""
    rows = {row.name: row for row in score_rows(runs)}
    result = []
    for headline in SHOWN:
        entries = [entry(headline, with_all_levels(run).scores) for run in runs]
        available = [candidate for candidate in entries if candidate is not None]
        if available:
            names = {candidate.name for candidate in available}
            row = rows.get(names.pop()) if len(names) == 1 else None
            wins = [cell.wins for cell in row.cells] if row else [False] * len(runs)
            cells = tuple(zip(entries, wins, strict=True))
            result.append(HeadlineRow(headline.title, direction(available[0].name), cells))
    return result


def with_all_levels(run: Run) -> Run:
    """Copy the run's last `reconstruction/NAME/levels_N` to `reconstruction/NAME/all`."""
    ending = f"/{LEVELS}{_num_levels(run)}"

    def with_all(scores: Mapping[str, Value]) -> dict[str, Value]:
        complete = {
            name.replace(ending, "/all"): value
            for name, value in scores.items()
            if name.startswith(("reconstruction/", "intervals/reconstruction/"))
            and f"{name}/".find(f"{ending}/") > 0
        }
        return {**scores, **complete}

    replicates = run.replicates and replace(run.replicates, scores=with_all(run.replicates.scores))
    return replace(run, scores=with_all(run.scores), replicates=replicates)


def _num_levels(run: Run) -> int:
    """Number of levels of the autoencoder, from the scores; 0 if they do not show it."""
    numbers = [
        int(name.rpartition(LEVELS)[2])
        for name in run.scores
        if name.startswith("reconstruction/") and LEVELS in name
    ]
    return max(numbers, default=0)


def pairs(runs: Sequence[Run], score: str) -> list[Pair]:
    """Compare every two runs that were scored alike, pairs with the best run first."""
    if not settings_agree([run for run in runs if run.scores]):
        return []
    result = []
    for i, first in enumerate(runs):
        for j, second in enumerate(runs[i + 1 :], start=i + 1):
            if (
                first.replicates
                and second.replicates
                and score in first.scores.keys() & second.scores
            ):
                interval = difference(first.replicates, second.replicates, score)
                if interval is not None:
                    change = first.scores[score] - second.scores[score]
                    result.append(Pair(i, j, change, interval))
    best_run = min(range(len(runs)), key=lambda place: runs[place].scores.get(score, math.inf))
    return sorted(result, key=lambda pair: best_run not in (pair.first, pair.second))


def ranked_pairs(runs: Sequence[Run]) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to show first, by the main score, and the others."""
    found = pairs(runs, main_score_of(runs))
    count = max(MIN_PAIRS, len(runs) - 1)
    return found[:count], found[count:]


def best(runs: Sequence[Run], count: int) -> list[Run]:
    """Choose the runs with the best main score, best first."""
    score = main_score_of(runs)
    scored = [run for run in runs if score in run.scores]
    return sorted(scored, key=lambda run: run.scores[score])[:count]


def _cells(runs: Sequence[Run], name: str, judge: bool) -> list[Cell]:
    beaten = [
        tuple(
            place
            for place, other in enumerate(runs)
            if judge and run.replicates and other.replicates and place != number
            if better(run.replicates, other.replicates, name)
        )
        for number, run in enumerate(runs)
    ]
    rivals = sum(name in run.scores for run in runs) - 1
    return [
        Cell(
            run.scores.get(name),
            interval(run.scores, name),
            floor(run.scores, name),
            beats,
            0 < rivals == len(beats),
        )
        for run, beats in zip(runs, beaten, strict=True)
    ]


def _number(text: str) -> str:
    """Normalise a number: 1 and 1.0 mean the same."""
    try:
        return repr(float(text))
    except ValueError:
        return text
