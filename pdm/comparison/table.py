"""The comparison for a terminal: headline scores, what differs, costs. The page has all scores."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pdm.comparison.numbers import cost_rows, number, short
from pdm.comparison.run import Run
from pdm.comparison.verdicts import differing, headline_rows, reasons_not_to_compare
from pdm.scores.headline import Entry

WIDTH = 118
MAX_ROWS = 24  # rows of differing settings; the page has all


def table(runs: Sequence[Run], width: int = WIDTH) -> str:
    """Format the comparison as plain text, at most `width` characters wide."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    for reason in reasons_not_to_compare(runs):
        console.print(f"note: {reason}\n", markup=False)
    console.print(_scores(runs))
    if len(runs) > 1:
        console.print("* better than all others beyond chance")
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
        console.print(f"... and {len(changed) - MAX_ROWS} more settings on the page")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _scores(runs: Sequence[Run]) -> Table:
    result = _table("headline score", runs)
    for row in headline_rows(runs):
        arrow = "↑" if row.direction > 0 else "↓"
        result.add_row(f"{row.title} {arrow}", *(_cell(entry, wins) for entry, wins in row.cells))
    return result


def _cell(entry: Entry | None, wins: bool) -> str:
    if entry is None:
        return "-"
    text = number(entry.value)
    if entry.interval:
        text += f" [{number(entry.interval[0])}, {number(entry.interval[1])}]"
    return " ".join(filter(None, (text, entry.word, "*" if wins else "")))


def _plain(
    title: str, rows: Sequence[tuple[str, Sequence[str | None]]], runs: Sequence[Run]
) -> Table:
    result = _table(title, runs)
    for name, values in rows:
        result.add_row(name, *("-" if value is None else short(value) for value in values))
    return result


def _table(title: str, runs: Sequence[Run]) -> Table:
    result = Table(box=None, pad_edge=False, header_style="")
    result.add_column(title, overflow="fold")
    for run in runs:
        result.add_column(run.name, justify="right", overflow="fold")
    return result
