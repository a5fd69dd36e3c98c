"""Reads URL lists in parquet."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.curation.scrape.sources.url_lists.columns import require_columns
from pdm.errors import BadInput


def read_parquet(path: Path, columns: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Rows as dictionaries by column; text is bytes.

    Args:
        path: The file.
        columns: Field -> column; other columns are not read.

    Raises:
        BadInput: A column is missing, is there twice or has no text, or the file is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow
            require_columns(path, columns, schema.names)
            for field, column in columns.items():
                _require_text(path, field, column, schema.field(column).type)
            # In small batches: a caption may be a megabyte.
            for batch in file.iter_batches(batch_size=1024, columns=list(columns.values())):
                plain = {name: _as_bytes(batch.column(name)) for name in batch.schema.names}
                yield from pa.table(plain).to_pylist()
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # an error of the disk
            raise
        raise BadInput(
            f"{path} cannot be read as parquet ({error}); write or copy it again"
        ) from error


def _as_bytes(column: Any) -> Any:
    """Text as bytes: Arrow raises at text that is not UTF-8."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if _is_list(kind):
        return column.cast(pa.large_list(pa.large_binary()))
    return column.cast(pa.large_binary()) if _is_text(kind) else column


def _is_list(kind: pa.DataType) -> bool:
    """Whether it is a list of texts."""
    types = pa.types
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return listed and _is_text(kind.value_type)


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
    # A caption or a class may be a number, and captions may be a list of texts.
    usable = _is_text(plain) or pa.types.is_null(plain)
    if field in ("caption", "class"):
        usable = usable or pa.types.is_primitive(plain)
    if field == "caption":
        usable = usable or _is_list(plain)
    if not usable:
        raise BadInput(
            f"{path}: column '{column}' has the type {kind}, not text; change {field}_column"
        )
