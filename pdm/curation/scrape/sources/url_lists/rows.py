"""Reads the rows of a URL list: txt (one URL per line), csv or parquet."""

from collections.abc import Iterator
from pathlib import Path

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape.sources.url_lists.columns import named_columns
from pdm.curation.scrape.sources.url_lists.csv_rows import read_csv
from pdm.curation.scrape.sources.url_lists.parquet_rows import read_parquet
from pdm.curation.scrape.sources.url_lists.txt_rows import read_txt

Row = dict[str, str | None]


def read_rows(source: UrlListSource, path: Path) -> Iterator[Row]:
    """Rows with the fields (`columns.FIELDS`) for which the source names columns.

    Empty cells are None. Other columns are ignored.

    Raises:
        BadInput: The file is damaged or not of the kind that its name says, or a column is missing,
            is there twice, is named for two fields or has no text.
    """
    if path.suffix == ".txt":
        for url in read_txt(path, source.url_column):
            yield {"url": url}
        return
    columns = named_columns(source)
    read = read_csv if path.suffix == ".csv" else read_parquet
    for row in read(path, columns):
        yield {field: _text(row.get(column)) for field, column in columns.items()}


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None
