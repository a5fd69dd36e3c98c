"""Reading URL lists in CSV."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pdm.curation.scrape.sources.url_lists.columns import require_columns

_MAX_CELL_CHARACTERS = 2**24  # csv stops at 2^17 by itself


def csv_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Rows by column.

    Args:
        path: The file.
        columns: Field -> column; other columns are not looked at.

    Raises:
        BadInput: A column is missing or stands twice.
        csv.Error: The file is damaged.
    """
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        require_columns(path, columns, list(reader.fieldnames or []))
        yield from reader
