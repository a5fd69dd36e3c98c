"""The lines of the table: one figure each, or the reason why there is none."""

import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.shared.markdown import table_lines


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Args:
        key: Name in the JSON object.
        what: What was measured.
        value: In `unit`; None if the part failed or was left out.
        unit: Such as "images/s".
        goal: What it should be; empty if nothing was promised.
        note: What a reader must know to believe it; or the error.
        failed: Whether the part ended with an error.
    """

    key: str
    what: str
    value: float | None
    unit: str = ""
    goal: str = ""
    note: str = ""
    failed: bool = False


def failure(part: str, error: BaseException | str) -> Row:
    """The row of a part that failed: the last line of its error, and where it was raised."""
    if isinstance(error, str):
        return Row(part, part, None, note=error, failed=True)
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Row(part, part, None, note=f"{text} ({place.name}, line {place.lineno})", failed=True)


def left_out(part: str, reason: str) -> Row:
    """The row of a part that cannot be measured here."""
    return Row(part, part, None, note=f"left out: {reason}")


def table(rows: Iterable[Row]) -> str:
    """All rows as one Markdown table."""
    lines = [
        (f"{row.what} [{row.key}]", _value(row), row.unit, row.goal, row.note.replace("|", "/"))
        for row in rows
    ]
    return "\n".join(table_lines(("what", "value", "unit", "goal", "note"), lines))


def _value(row: Row) -> str:
    if row.failed:
        return "ERROR"
    return "-" if row.value is None else f"{row.value:,.4g}"


def as_json(rows: Iterable[Row], **facts: Any) -> dict[str, Any]:
    """One object: each value by its key, then other facts, the errors, and all rows."""
    rows = list(rows)
    values = {row.key: float(f"{row.value:.5g}") for row in rows if row.value is not None}
    errors = {row.key: row.note for row in rows if row.failed}
    return values | facts | {"errors": errors, "rows": [asdict(row) for row in rows]}
