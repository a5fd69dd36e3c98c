"""The command `pyramid scores`: the scores of `evaluate`, with intervals and floors."""

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pdm.comparison.metrics_file import read_scores
from pdm.errors import BadInput
from pdm.scores import headline
from pdm.scores.headline import Entry, Scores
from pdm.scores.names import FLOOR, direction, floor, interval

WIDTH = 110
WORDS = {-1: "smaller", 1: "greater", 0: ""}


def scores_text(metrics: Path, *, only_headline: bool) -> str:
    """Format all scores, unless `only_headline`; then the headline scores, and what to do next.

    Raises:
        BadInput: There are no scores, or the file cannot be read.
    """
    scores = _read(metrics)
    parts = [] if only_headline else [_text(_all(scores))]
    parts += [_text(_headline(headline.entries(scores))), f"next: {headline.next_step(scores)}"]
    return "\n\n".join(parts)


def scores_json(metrics: Path, *, only_headline: bool) -> str:
    """Format the same as JSON: `headline`, a list; `next`, a sentence; and `scores`, by name."""
    scores = _read(metrics)
    result: dict[str, Any] = {
        "headline": [dataclasses.asdict(entry) for entry in headline.entries(scores)],
        "next": headline.next_step(scores),
    }
    if not only_headline:
        result["scores"] = {
            name: {
                "value": scores[name],
                "interval": interval(scores, name),
                "floor": floor(scores, name),
                "better": WORDS[direction(name)],
            }
            for name in _names(scores)
        }
    return json.dumps(result, indent=2, ensure_ascii=False)


def number(value: float) -> str:
    """Format a number with three significant digits, without an exponent for common sizes."""
    return f"{value:.3g}" if 1e-4 <= abs(value) < 1000 or value == 0 else f"{value:.2e}"


def range_of(ends: Sequence[float] | None) -> str:
    """Format an interval in brackets; empty if there is none."""
    return "" if ends is None else f"[{number(ends[0])}, {number(ends[1])}]"


def _read(metrics: Path) -> Scores:
    scores = read_scores(metrics)
    if not scores:
        raise BadInput(f"{metrics} has no scores; run `pyramid evaluate` (or `pyramid run`) first")
    return scores


def _names(scores: Scores) -> list[str]:
    """List the scores that can be better or worse, without floors and intervals."""
    return sorted(name for name in scores if direction(name) and not name.endswith(f"/{FLOOR}"))


def _headline(entries: Iterable[Entry]) -> Table:
    table = _table("headline", "value", "95 % interval", "floor", "")
    for entry in entries:
        reference = "" if entry.floor is None else number(entry.floor)
        cells = number(entry.value), range_of(entry.interval), reference
        table.add_row(entry.title, *cells, entry.word)
    return table


def _all(scores: Scores) -> Table:
    table = _table("score", "value", "95 % interval", "floor", "better")
    for name in _names(scores):
        reference = floor(scores, name)
        table.add_row(
            name,
            number(scores[name]),
            range_of(interval(scores, name)),
            "" if reference is None else number(reference),
            WORDS[direction(name)],
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="")
    for place, heading in enumerate(headings):
        is_number = 0 < place < len(headings) - 1
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number)
    return table


def _text(table: Table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=WIDTH, highlight=False, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())
