"""Rows of a URL list: txt (one URL a line), csv or parquet.

Columns that no setting names are not looked at, whatever they are called.
"""

from collections.abc import Iterator
from pathlib import Path

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape.sources.url_lists.columns import named_columns
from pdm.curation.scrape.sources.url_lists.csv_rows import csv_rows
from pdm.curation.scrape.sources.url_lists.parquet_rows import parquet_rows

Row = dict[str, str | None]


def rows(source: UrlListSource, path: Path) -> Iterator[Row]:
    """Rows with the fields that the settings name, of `columns.FIELDS`; empty cells are None.

    Raises:
        BadInput: A column is missing, stands twice, is named for two things or holds no text.
        csv.Error, pa.ArrowException: The file is damaged.
    """
    if path.suffix == ".txt":
        yield from _txt_rows(path)
        return
    columns = named_columns(source)
    read = csv_rows if path.suffix == ".csv" else parquet_rows
    for row in read(path, columns):
        yield {field: _text(row.get(column)) for field, column in columns.items()}


def _txt_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if line.strip():
                yield {"url": line.strip()}


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None
