"""Reading URL lists: txt (one URL a line), csv or parquet, of any size, from anyone.

Columns that no setting names are not looked at, whatever they are called.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.config.scrape import UrlListSource
from pdm.errors import BadInput

MAX_TEXT_BYTES = 8192  # of a caption, a licence, an author or a class
_MAX_CELL_CHARACTERS = 2**24  # csv stops at 2^17 by itself
FIELDS = ("url", "caption", "licence", "author", "class", "sha256")

Row = dict[str, str | None]


def rows(source: UrlListSource, path: Path) -> Iterator[Row]:
    """Rows with the fields that the settings name, of `FIELDS`; empty cells are None.

    Raises:
        BadInput: A column is missing, stands twice, is named for two things or holds no text.
        csv.Error, pa.ArrowException: The file is damaged.
    """
    if path.suffix == ".txt":
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for line in file:
                if line.strip():
                    yield {"url": line.strip()}
        return
    columns = {
        field: column for field in FIELDS if (column := getattr(source, f"{field}_column", None))
    }
    _require_different(path, columns)
    read = _csv_rows if path.suffix == ".csv" else _parquet_rows
    for row in read(path, columns):
        yield {field: _text(row.get(column)) for field, column in columns.items()}


def clean(text: str | None) -> str | None:
    """Text that any file can hold: no NUL, no half a character, `MAX_TEXT_BYTES` at most."""
    if text is None:
        return None
    encoded = text.replace("\0", "").encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    return encoded.decode("utf-8", "ignore").strip() or None


def one_line(text: str | None) -> str | None:
    """The same on one line: for names."""
    return " ".join((clean(text) or "").split()) or None


def _csv_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        _require_columns(path, columns, list(reader.fieldnames or []))
        yield from reader


def _parquet_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        _require_columns(path, columns, schema.names)
        for field, column in columns.items():
            _require_text(path, field, column, schema.field(column).type)
        # Few at once: a caption may be a megabyte.
        for batch in file.iter_batches(batch_size=1024, columns=list(columns.values())):
            plain = {name: _as_bytes(batch.column(name)) for name in batch.schema.names}
            yield from pa.table(plain).to_pylist()


def _as_bytes(column: Any) -> Any:
    """Text as bytes: a file can hold any under the name of UTF-8, and Arrow would stop at them."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    return column.cast(pa.large_binary()) if _is_text(kind) else column


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(
        check(kind)
        for check in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
        )
    )


def _require_text(path: Path, field: str, column: str, kind: pa.DataType) -> None:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    # A caption or a class may be a number; what is no single value is none.
    usable = _is_text(plain) or pa.types.is_null(plain)
    if field in ("caption", "class"):
        usable = usable or pa.types.is_primitive(plain)
    if not usable:
        raise BadInput(f"{path}: column '{column}' holds {kind}, not text; name another as {field}")


def _require_columns(path: Path, columns: Mapping[str, str], present: list[str]) -> None:
    for column in columns.values():
        count = present.count(column)
        if count != 1:
            state = "no column" if not count else f"{count} columns"
            there = ", ".join(repr(name) for name in present) or "none"
            raise BadInput(f"{path}: {state} named '{column}'; its columns are {there[:2000]}")


def _require_different(path: Path, columns: Mapping[str, str]) -> None:
    named: dict[str, str] = {}
    for field, column in columns.items():
        other = named.setdefault(column, field)
        if other != field:
            raise BadInput(f"{path}: column '{column}' is named as {other} and as {field}")


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.strip() or None
