"""The comparison for a terminal: headline scores, what differs, costs. The page has all scores.

Runs stand side by side. Those that the terminal has no room for follow below.
"""

import io
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from pdm.comparison.numbers import cost_rows, interval, number, short
from pdm.comparison.run import Run
from pdm.comparison.verdicts import (
    HeadlineRow,
    Pair,
    differing,
    headline_rows,
    main_score_of,
    ranked_pairs,
    reasons_not_to_compare,
)
from pdm.counts import counted
from pdm.scores.headline import Entry

WIDTH = 118
MAX_ROWS = 24  # rows of differing settings; the page has all
MAX_NAME = 24  # characters of a run's name before it is folded
GAP = 2  # spaces between columns

Rows = Sequence[tuple[str, Sequence[str]]]  # a title, and a cell for each run


def table(runs: Sequence[Run], width: int = WIDTH) -> str:
    """Format the comparison as plain text, at most `width` characters wide."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None, markup=False)
    for reason in reasons_not_to_compare(runs):
        console.print(f"note: {reason}")
    _print_scores(console, runs)
    changed = differing([run.params for run in runs])
    for title, rows in (
        ("setting", [(row.name, row.values) for row in changed[:MAX_ROWS]]),
        ("data and code", [(row.name, row.values) for row in differing([r.facts for r in runs])]),
        ("cost", cost_rows(runs)),
    ):
        _print_side_by_side(console, title, [(name, _cells(values)) for name, values in rows], runs)
    if len(changed) > MAX_ROWS:
        console.print(f"... and {counted(len(changed) - MAX_ROWS, 'more setting')} on the page")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).lstrip("\n")


def _print_scores(console: Console, runs: Sequence[Run]) -> None:
    headline = headline_rows(runs)
    rows = _score_rows(headline, " ")
    if len(list(_groups("headline score", rows, runs, console.width))) > 1:
        rows = _score_rows(headline, "\n")  # narrower: intervals below their scores
    _print_side_by_side(console, "headline score", rows, runs)
    if any(wins for row in headline for _, wins in row.cells):
        console.print("* better than all others beyond chance")
    pairs, others = ranked_pairs(runs)
    if pairs:
        console.print(f"\ndifference in {main_score_of(runs)}, with its 95 % interval")
        console.print(_differences(pairs, runs))
    if others:
        console.print(f"... and {counted(len(others), 'more pair')} on the page")


def _score_rows(headline: Sequence[HeadlineRow], separator: str) -> Rows:
    return [
        (
            f"{row.title} {'↑' if row.direction > 0 else '↓'}",
            [_score(entry, wins, separator) for entry, wins in row.cells],
        )
        for row in headline
    ]


def _score(entry: Entry | None, wins: bool, separator: str) -> str:
    if entry is None:
        return "-"
    value = " ".join(filter(None, (number(entry.value), entry.word, "*" if wins else "")))
    return f"{value}{separator}{interval(entry.interval)}" if entry.interval else value


def _differences(pairs: Sequence[Pair], runs: Sequence[Run]) -> Table:
    result = Table(box=None, pad_edge=False, show_header=False)
    result.add_column(overflow="fold")
    result.add_column(justify="right", no_wrap=True)
    result.add_column(justify="right", no_wrap=True)
    result.add_column(overflow="fold")
    for pair in pairs:
        verdict = (
            "not beyond chance" if pair.better is None else f"{runs[pair.better].name} is better"
        )
        result.add_row(
            f"{runs[pair.first].name} minus {runs[pair.second].name}",
            number(pair.difference),
            interval(pair.interval),
            verdict,
        )
    return result


def _cells(values: Sequence[str | None]) -> list[str]:
    return ["-" if value is None else short(value) for value in values]


def _print_side_by_side(console: Console, title: str, rows: Rows, runs: Sequence[Run]) -> None:
    """Print a column for each run, and as many tables as the width requires."""
    if not rows:
        return
    for places in _groups(title, rows, runs, console.width):
        result = Table(box=None, pad_edge=False, header_style="")
        result.add_column(
            title, overflow="fold", max_width=_title_width(title, rows, console.width)
        )
        for place in places:
            result.add_column(runs[place].name, justify="right", overflow="fold")
        for name, cells in rows:
            result.add_row(name, *(cells[place] for place in places))
        console.print()
        console.print(result)


def _groups(title: str, rows: Rows, runs: Sequence[Run], width: int) -> Iterator[list[int]]:
    """Yield the places of runs that fit beside each other, at least one at a time."""
    start = _title_width(title, rows, width)
    group: list[int] = []
    used = start
    for place, run in enumerate(runs):
        lines = [line for _, cells in rows for line in cells[place].split("\n")]
        column = GAP + max(min(len(run.name), MAX_NAME), *map(len, lines))
        if group and used + column > width:
            yield group
            group, used = [], start
        group.append(place)
        used += column
    yield group


def _title_width(title: str, rows: Rows, width: int) -> int:
    return min(max(len(title), *(len(name) for name, _ in rows)), width // 2)
