"""Tables of the data card, in Markdown."""

import html
from collections import Counter
from collections.abc import Iterable, Sequence

MAX_LISTED = 100  # names in a table; the others are summed up


def most_frequent(names: Iterable[str | None]) -> list[tuple[str, str]]:
    """The most frequent names and their counts; the others summed up in one line."""
    counts = Counter(name or "not stated" for name in names)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [(name, f"{count:,}") for name, count in ranked[:MAX_LISTED]]
    others = ranked[MAX_LISTED:]
    if others:
        listed.append((f"{len(others):,} others", f"{sum(count for _, count in others):,}"))
    return listed


def table(titles: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown; untrusted text is escaped."""
    rows = [titles, ("---",) * len(titles), *(tuple(map(_cell, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(text: str) -> str:
    """Escaped text for a cell: names are untrusted, and must not add markup or cells."""
    return html.escape(" ".join(text.split())).replace("|", "\\|").replace("`", "\\`")
