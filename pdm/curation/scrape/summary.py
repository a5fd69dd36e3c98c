"""Numbers of rows by outcome, source and class, for `summary.json` and the stage's last line."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pdm.counts import counted
from pdm.curation.class_counts import describe_classes
from pdm.data.annotations.boxes import LEFT_OUT

STATUSES = ("ok", "failed", "dropped")


class Row(Protocol):
    """The fields of a row that are counted."""

    source: str
    class_name: str | None
    status: str
    reason: str | None
    num_bytes: int | None


@dataclass(slots=True)
class Summary:
    """Numbers of rows."""

    outcomes: Counter[tuple[str, str | None]] = field(default_factory=Counter)  # (status, reason)
    sources: Counter[str] = field(default_factory=Counter)
    classes: Counter[str | None] = field(default_factory=Counter)  # of rows that are ok
    num_bytes: int = 0
    boxes_left_out: dict[str, int] = field(default_factory=dict)  # by reason; no pictures

    def add(self, rows: Iterable[Row]) -> None:
        """Count some rows."""
        for row in rows:
            self.outcomes[row.status, row.reason] += 1
            self.sources[row.source] += 1
            self.num_bytes += row.num_bytes or 0
            if row.status == "ok":
                self.classes[row.class_name] += 1

    def by_status(self) -> dict[str, int]:
        """Number of rows for each of `STATUSES`."""
        totals: Counter[str] = Counter()
        for (status, _), count in self.outcomes.items():
            totals[status] += count
        return {status: totals[status] for status in STATUSES}

    def as_json(self) -> dict[str, Any]:
        """The content of `summary.json`."""
        reasons = {
            f"{status}:{reason}": n for (status, reason), n in self.outcomes.items() if reason
        }
        named = {name: count for name, count in self.classes.items() if name is not None}
        optional: dict[str, Any] = {"class": named} if named else {}
        if self.boxes_left_out:
            optional[LEFT_OUT] = dict(sorted(self.boxes_left_out.items()))
        return {
            "num_rows": self.outcomes.total(),
            "num_bytes": self.num_bytes,
            "status": self.by_status(),
            "reason": reasons,
            "source": dict(self.sources),
        } | optional

    def line(self) -> str:
        """One line, such as "7 URLs and files: 5 ok, 1 failed (timeout 1), 1 dropped (hidden 1);
        2 classes: dunes 3, sea 2"."""
        pieces = []
        for status, total in self.by_status().items():
            counts = sorted((r or "", n) for (s, r), n in self.outcomes.items() if s == status)
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts if reason)
            pieces.append(f"{total:,} {status}" + (f" ({reasons})" if reasons else ""))
        classes = describe_classes(self.classes)
        entries = counted(self.outcomes.total(), "URL or file", "URLs and files")
        text = f"{entries}: {', '.join(pieces)}"
        return f"{text}; {classes}" if classes else text
