"""Markdown for the cards of data and models."""

import html
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table whose cells are Markdown."""
    rows = [titles, ("---",) * len(titles), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def plain_table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table whose cells may come from outside, and add neither markup nor cells."""
    return table(titles, ([plain(cell).replace("|", "\\|") for cell in line] for line in lines))


def plain(text: str) -> str:
    """Escape a text that comes from outside, so that it adds no markup; one line."""
    return html.escape(" ".join(text.split())).replace("`", "\\`")
