"""Ratios of ours to a peer, as a table and as JSON.

Every ratio is ours over the peer's in speed, so that more is better, unless its line says
otherwise.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks.shared.markdown import table_lines


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
