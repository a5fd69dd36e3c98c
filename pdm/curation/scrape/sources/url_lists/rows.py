"""Rows of a URL list: txt (one URL a line), csv or parquet.

Columns that no setting names are not looked at, whatever they are called.
"""

from collections.abc import Iterator
from pathlib import Path

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape.sources.url_lists.columns import named_columns
from pdm.curation.scrape.sources.url_lists.csv_rows import csv_rows
from pdm.curation.scrape.sources.url_lists.parquet_rows import parquet_rows
from pdm.curation.scrape.sources.url_lists.txt_rows import txt_rows

Row = dict[str, str | None]


def rows(source: UrlListSource, path: Path) -> Iterator[Row]:
    """Rows with the fields that the settings name, of `columns.FIELDS`; empty cells are None.

    Raises:
        BadInput: The file is damaged or not what its name says, or a column is missing, stands
            twice, is named for two things or holds no text.
    """
    if path.suffix == ".txt":
        for url in txt_rows(path, source.url_column):
            yield {"url": url}
        return
    columns = named_columns(source)
    read = csv_rows if path.suffix == ".csv" else parquet_rows
    for row in read(path, columns):
        yield {field: _text(row.get(column)) for field, column in columns.items()}


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None
