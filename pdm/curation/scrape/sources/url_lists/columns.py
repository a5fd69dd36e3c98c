"""The columns that a source names in a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pdm.config.stages.scrape import UrlListSource
from pdm.errors import BadInput

FIELDS = ("url", "caption", "boxes", "licence", "author", "class", "sha256")


def named_columns(source: UrlListSource) -> dict[str, str]:
    """Field -> column, for each of `FIELDS` for which the source names a column.

    Raises:
        BadInput: One column is named for two fields.
    """
    columns = {
        field: column for field in FIELDS if (column := getattr(source, f"{field}_column", None))
    }
    fields: dict[str, str] = {}
    for field, column in columns.items():
        other = fields.setdefault(column, field)
        if other != field:
            raise BadInput(f"{source.path}: column '{column}' is named as {other} and as {field}")
    return columns


def require_columns(path: Path, columns: Mapping[str, str], present: Sequence[str]) -> None:
    """Check that each named column is in the table once.

    Raises:
        BadInput: One is missing or there twice.
    """
    if not present:
        raise BadInput(f"{path} is empty; write a header with the names of its columns, then rows")
    for field, column in columns.items():
        count = present.count(column)
        if count != 1:
            state = "no column" if not count else f"{count} columns"
            names = ", ".join(repr(name) for name in present)[:2000]
            advice = f"set {field}_column to one of them" if not count else "rename one of them"
            raise BadInput(f"{path}: {state} named '{column}'; its columns are {names}; {advice}")
