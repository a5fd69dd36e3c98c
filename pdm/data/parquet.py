"""Parquet files in which damage is noticed: each page of values has a checksum.

Without it a flipped bit gives another caption, or another crop, and nobody knows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.errors import BadInput


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table; equal tables give equal bytes."""
    pq.write_table(table, path, write_page_checksum=True)


def read_table(path: Path, advice: str, **options: Any) -> pa.Table:
    """Read a table.

    Args:
        path: The file. Pages without checksums, as other programs write them, are read, too.
        advice: What to do if it is damaged, for the error.
        options: Of `pyarrow.parquet.read_table`.

    Raises:
        BadInput: The file is damaged, or lacks a column.
        FileNotFoundError: It does not exist.
    """
    with readable(path, advice):
        return pq.read_table(path, page_checksum_verification=True, **options)


@contextmanager
def readable(path: Path, advice: str) -> Iterator[None]:
    """Turn what Arrow raises at damaged files into `BadInput` that names the file. Errors of the
    disk and missing files pass through."""
    try:
        yield
    except FileNotFoundError:  # Arrow's own has no errno
        raise
    except (pa.ArrowException, ValueError, KeyError, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        reason = str(error).strip() or type(error).__name__
        raise BadInput(f"{path} cannot be read ({reason}); {advice}") from error
