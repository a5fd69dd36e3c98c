"""Reads the rows of a URL list: txt (one URL per line), csv or parquet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pdm.config.stages.scrape import UrlListSource
from pdm.curation.scrape.sources.url_lists.columns import named_columns
from pdm.curation.scrape.sources.url_lists.csv_rows import read_csv
from pdm.curation.scrape.sources.url_lists.parquet_rows import read_parquet
from pdm.curation.scrape.sources.url_lists.txt_rows import read_txt


class Row(NamedTuple):
    """A row of a list."""

    fields: dict[str, str | None]  # of `columns.FIELDS`, without the caption
    captions: tuple[str, ...] = ()


def read_rows(source: UrlListSource, path: Path) -> Iterator[Row]:
    """Rows with the fields (`columns.FIELDS`) for which the source names columns.

    Empty cells are None. Other columns are ignored. A cell with captions has one text, or several:
    a list in parquet, a JSON list of texts in CSV.

    Raises:
        BadInput: The file is damaged or not of the kind that its name says, or a column is missing,
            is there twice, is named for two fields or has no text.
    """
    if path.suffix == ".txt":
        for url in read_txt(path, source.url_column):
            yield Row({"url": url})
        return
    columns = named_columns(source)
    read = read_csv if path.suffix == ".csv" else read_parquet
    for row in read(path, columns):
        plain = {field: column for field, column in columns.items() if field != "caption"}
        fields = {field: _text(row.get(column)) for field, column in plain.items()}
        yield Row(fields, _captions(row.get(columns.get("caption", ""))))


def _captions(value: object) -> tuple[str, ...]:
    """The captions of a cell, in order, without empty ones."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _json_texts(value) or value
    texts = value if isinstance(value, list) else [value]
    return tuple(text for each in texts if (text := _text(each)) is not None)


def _json_texts(cell: str) -> list[str] | None:
    """The texts of a JSON list of texts; None for any other cell."""
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(found, list) and all(isinstance(text, str) for text in found)
    return found if is_list else None


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None
