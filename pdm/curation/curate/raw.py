"""Reads the metadata of raw shards: one row for each source URL or file, fetched or not."""

from pathlib import Path

from pdm.data.decisions import OPTIONAL, RAW, Row
from pdm.data.parquet import read_table, readable
from pdm.errors import BadInput


def load_rows(raw: Path) -> list[Row]:
    """All rows in key order, each with the name of its `tar`, and the `reason` if not fetched.

    Raises:
        BadInput: There is no metadata, a file of it cannot be read, or a tar is missing.
    """
    files = sorted(raw.glob("*.parquet"))
    if not files:
        raise BadInput(f"{raw} has no .parquet metadata; run `pyramid scrape` first")
    rows = [row for file in files for row in _rows_of(file)]
    return sorted(rows, key=lambda row: str(row["key"]))


def _rows_of(file: Path) -> list[Row]:
    tar = file.with_suffix(".tar")
    advice = "run `pyramid scrape` again"
    with readable(file, advice):
        rows = read_table(file, advice).to_pylist()
    missing = sorted(
        (set(RAW) - {"tar"} | {"reason"}) - set(rows[0] if rows else RAW | {"reason": 0})
    )
    if missing:
        raise BadInput(f"{file} lacks the columns {', '.join(missing)}; run `pyramid scrape` again")
    if rows and not tar.exists():
        raise BadInput(f"{tar} is missing beside its .parquet; run `pyramid scrape` again")
    columns = {name for name in RAW if name != "tar"} | {"reason"}
    return [
        {name: row[name] for name in columns}
        | {name: row.get(name) for name in OPTIONAL}
        | {"tar": tar.name}
        for row in rows
    ]
