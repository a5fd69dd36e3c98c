"""`images.parquet`: one row for each image in the shards, for pandas, DuckDB and the like.

It stands beside the folder of shards, not in it: a new score changes the table, and neither the
version of the data nor the models that were trained on it. Dropped images are in the table of
decisions (`pdm.data.decisions`), whose keys are the same.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.curation.score_table import DIFFERENCE, SCORES
from pdm.data.annotations.captions import SEVERAL, captions_of
from pdm.data.decisions import ROWS_PER_PART, SCHEMA, Row
from pdm.files import atomic_file

# Names as in `key.json`, where it has the value, too.
PLACE = ("key", "split", "shard")
SOURCE = (
    *("url", "final_url", "source", "class_name", "caption", SEVERAL, "licence", "author"),
    *("retrieved_at", "sha256", "num_bytes", "format"),
)
SIZES = {  # name -> column of a decision
    "width_px": "target_width_px",
    "height_px": "target_height_px",
    "original_width_px": "width_px",
    "original_height_px": "height_px",
}
CROP = ("crop_left_px", "crop_top_px", "crop_width_px", "crop_height_px")
SCORE_COLUMNS = tuple(score.name for score in (*SCORES, DIFFERENCE) if not score.columns)


def _columns() -> pa.Schema:
    fields = [pa.field(name, pa.string()) for name in PLACE]
    fields += [SCHEMA.field(name) for name in SOURCE]
    fields += [SCHEMA.field(column).with_name(name) for name, column in SIZES.items()]
    fields += [SCHEMA.field(name) for name in (*CROP, *SCORE_COLUMNS)]
    return pa.schema(fields)


COLUMNS = _columns()


def write_image_table(
    path: Path, rows: Sequence[Row], splits: Mapping[str, str], shards: Mapping[str, str]
) -> None:
    """Write the table; equal rows give equal bytes.

    Args:
        path: Of the file.
        rows: Decisions on the images that are in the shards, in key order.
        splits: Split of each, by key.
        shards: Name of the tar of each, by key.
    """

    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(temporary, COLUMNS, write_page_checksum=True) as writer,
    ):
        for start in range(0, len(rows), ROWS_PER_PART):
            part = rows[start : start + ROWS_PER_PART]
            described = [_describe(row, splits[row["key"]], shards[row["key"]]) for row in part]
            writer.write_table(pa.Table.from_pylist(described, schema=COLUMNS))


def _describe(row: Row, split: str, shard: str) -> Row:
    sizes = {name: row[column] for name, column in SIZES.items()}
    placed = {"split": split, "shard": shard, SEVERAL: list(captions_of(row))}
    return row | sizes | placed
