"""The comparison for a terminal: scores, what differs, costs."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pdm.comparison.numbers import cost_rows, number, short
from pdm.comparison.run import Run
from pdm.comparison.verdicts import Cell, ScoreRow, differing, may_be_judged, score_rows

WIDTH = 118
MAX_ROWS = 24  # of settings that differ; the page has all


def table(runs: Sequence[Run]) -> str:
    """Plain text, at most `WIDTH` columns wide."""
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, highlight=False, color_system=None)
    for reason in may_be_judged(runs):
        console.print(f"note: {reason}\n", markup=False)
    console.print(_scores(runs))
    changed = differing([run.params for run in runs])
    for title, rows in (
        ("setting", [(row.name, row.values) for row in changed[:MAX_ROWS]]),
        ("data and code", [(row.name, row.values) for row in differing([r.facts for r in runs])]),
        ("cost", cost_rows(runs)),
    ):
        if rows:
            console.print()
            console.print(_plain(title, rows, runs))
    if len(changed) > MAX_ROWS:
        console.print(f"... and {len(changed) - MAX_ROWS} settings more on the page")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _scores(runs: Sequence[Run]) -> Table:
    found = _table("score  (* better than all others beyond chance)", runs)
    for row in score_rows(runs):
        if row.direction:
            found.add_row(_titled(row), *(_cell(cell) for cell in row.cells))
    return found


def _titled(row: ScoreRow) -> str:
    return f"{row.name} {'↑' if row.direction > 0 else '↓'}"


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return "-"
    text = number(cell.value)
    if cell.interval:
        text += f" [{number(cell.interval[0])}, {number(cell.interval[1])}]"
    return f"{text} *" if cell.wins else text


def _plain(
    title: str, rows: Sequence[tuple[str, Sequence[str | None]]], runs: Sequence[Run]
) -> Table:
    found = _table(title, runs)
    for name, values in rows:
        found.add_row(name, *("-" if value is None else short(value) for value in values))
    return found


def _table(title: str, runs: Sequence[Run]) -> Table:
    found = Table(box=None, pad_edge=False, header_style="")
    found.add_column(title, overflow="fold")
    for run in runs:
        found.add_column(run.name, justify="right", overflow="fold")
    return found
