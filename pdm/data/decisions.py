"""The table of decisions: one row per source URL or file, in key order, with outcome and reason.

`curate` writes it; `shard` and its report read it. A row whose image was not fetched keeps the
reason of the fetch; scores of images that were not measured are null.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pdm.data.parquet import read_table, readable, write_table
from pdm.errors import BadInput
from pdm.files import atomic_file

FILE_NAME = "decisions.parquet"
ROWS_PER_PART = 2**13
_ADVICE = "run `pyramid curate` again"

RAW = {
    "key": pa.string(),
    "url": pa.string(),
    "source": pa.string(),
    "caption": pa.string(),
    "licence": pa.string(),
    "author": pa.string(),
    "class_name": pa.string(),  # null for an image without a class
    "status": pa.string(),
    "error_message": pa.string(),
    "retrieved_at": pa.string(),  # ISO 8601, UTC; null for built-in images and folders
    "final_url": pa.string(),  # after redirects
    "sha256": pa.string(),
    "num_bytes": pa.int64(),  # of the fetched file
    "tar": pa.string(),  # the raw shard that holds the bytes: `size` of them at `offset`
    "member": pa.string(),
    "offset": pa.int64(),
    "size": pa.int64(),
}
DECIDED = {
    "outcome": pa.string(),  # kept | dropped | failed
    "reason": pa.string(),  # null if kept
    "detail": pa.string(),  # one sentence: the measured value and the limit
    "duplicate_of": pa.string(),  # key of the image kept instead
    "cluster": pa.string(),  # shared by all similar images, directly or through others
    "nearest": pa.string(),  # key of the most similar kept image, if one's hash is near
    "difference": pa.float64(),  # to `nearest`; see `curate.duplicates`
    "width_px": pa.int64(),  # upright
    "height_px": pa.int64(),
    "format": pa.string(),
    "mode": pa.string(),
    "animated": pa.bool_(),
    "fault": pa.string(),  # why the file could not be decoded, in one word; null if it was
    "fault_detail": pa.string(),
    "content_width_px": pa.int64(),  # without borders
    "content_height_px": pa.int64(),
    "border_share": pa.float64(),
    "num_people": pa.int64(),  # faces large enough to count; null unless people are wanted
    "transparent_share": pa.float64(),
    "sharpness": pa.float64(),
    "high_frequency": pa.float64(),
    "detail_share": pa.float64(),
    "contrast": pa.float64(),
    "brightness": pa.float64(),
    "black_share": pa.float64(),
    "white_share": pa.float64(),
    "colour": pa.float64(),
    "drawing": pa.float64(),
    "likeness": pa.float64(),  # to what is wanted; null unless `curate.content` is set
    "blocking": pa.float64(),
    "repetition": pa.float64(),
    "small": pa.binary(),  # 16 x 16 pixels, without borders; see `curate.duplicates`
    "crop_left_px": pa.int64(),  # of the upright source; never smaller than the finished crop
    "crop_top_px": pa.int64(),
    "crop_width_px": pa.int64(),
    "crop_height_px": pa.int64(),
    "background": pa.string(),  # behind transparent parts, as #rrggbb
    "target_width_px": pa.int64(),
    "target_height_px": pa.int64(),
}
# Columns that the file has only if a row has a value there; readers always get them.
OPTIONAL = {
    "captions": pa.list_(pa.string()),  # all captions of a picture that has several
    "boxes": pa.string(),  # JSON, of the whole picture; see `pdm.data.annotations.boxes`
}
SCHEMA = pa.schema(list((RAW | DECIDED | OPTIONAL).items()))
# The columns that workers compute; `likeness` follows from the embedding.
JUDGED = DECIDED | {"embedding": pa.binary()}

Row = dict[str, Any]


def faulty(fault: str, detail: str) -> Row:
    """The columns of a file that could not be decoded."""
    return {"fault": fault, "fault_detail": detail}


def save(folder: Path, rows: list[Row]) -> None:
    """Write the table, sorted by key. Columns that a row lacks are null."""
    ordered = sorted(rows, key=lambda row: str(row["key"]))
    table = pa.Table.from_pylist(ordered, schema=SCHEMA)
    unused = [name for name in OPTIONAL if table[name].null_count == len(table)]
    with atomic_file(folder / FILE_NAME) as temporary:
        write_table(table.drop_columns(unused), temporary)


def load(folder: Path) -> list[Row]:
    """Read the table, in key order.

    Raises:
        BadInput: The file is missing, is not a parquet file, or lacks a column.
    """
    table = load_columns(folder, SCHEMA.names)
    with readable(folder / FILE_NAME, _ADVICE):  # text may be damaged, too
        rows: list[Row] = table.to_pylist()
    return rows


def load_columns(folder: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of all rows, in key order, in a tenth of the memory of `load` or less.

    Raises:
        BadInput: As `load`.
    """
    path = folder / FILE_NAME
    with _existing(path):
        return read_table(path, _ADVICE, columns=list(names), schema=SCHEMA)


def load_matching(folder: Path, column: str, values: Iterable[str]) -> list[Row]:
    """All columns of the rows whose `column` has one of the values, in key order.

    Reads the table in batches: 2.7 seconds and 200 MB of memory for a million rows.

    Raises:
        BadInput: As `load`.
    """
    wanted = pa.array(sorted(values), pa.string())
    rows: list[Row] = []
    path = folder / FILE_NAME
    with (
        _existing(path),
        readable(path, _ADVICE),
        pq.ParquetFile(path, page_checksum_verification=True) as file,
    ):
        for part in file.iter_batches(ROWS_PER_PART):
            matching = part.filter(pc.is_in(part[column], wanted))
            rows += _complete(pa.Table.from_batches([matching])).to_pylist()
    return rows


def _complete(table: pa.Table) -> pa.Table:
    """The table with all columns of the schema; optional ones that it lacks are null."""
    for name, kind in OPTIONAL.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table.select(SCHEMA.names).cast(SCHEMA)


@contextmanager
def _existing(path: Path) -> Iterator[None]:
    """Say of a missing file which stage writes it."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; run `pyramid curate` first") from None
