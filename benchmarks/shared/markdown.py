"""Tables of results in Markdown."""

from collections.abc import Iterable, Sequence


def table_lines(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a cell must have no `|`."""
    lines = [heads, *rows]
    first, *others = ["| " + " | ".join(cells) + " |" for cells in lines]
    return [first, "|" + "---|" * len(heads), *others]
