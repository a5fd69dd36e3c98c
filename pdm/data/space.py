"""Free disk space: checked before a stage starts, and reported if it runs out anyway."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdm.errors import Unavailable

MARGIN = 1.2  # of an estimate; file systems keep some for themselves, and estimates err
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def disk_space_for(path: Path, num_bytes: int) -> Iterator[None]:
    """Wrap a block that writes about `num_bytes` below `path`, which need not exist yet.

    An older version at `path` stays until the new one is complete, so its space does not count as
    free.

    Raises:
        Unavailable: Less than `MARGIN * num_bytes` is free, and the block did not start; or the
            disk filled up within the block. The text says how much is needed, how much is free,
            and where.
    """
    place = require_disk_space(path, num_bytes)
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Unavailable(f"the disk filled up: {_shortage(path, place, num_bytes)}") from error


def require_disk_space(path: Path, num_bytes: int) -> Path:
    """Check that about `num_bytes` fit below `path`, which need not exist yet.

    Returns:
        `path`, or the nearest folder above it that exists.

    Raises:
        Unavailable: Less than `MARGIN * num_bytes` is free.
    """
    place = next(one for one in (path, *path.absolute().parents) if one.exists())
    if shutil.disk_usage(place).free < MARGIN * num_bytes:
        raise Unavailable(f"{_shortage(path, place, num_bytes)}; nothing was started")
    return place


def _shortage(path: Path, place: Path, num_bytes: int) -> str:
    need, have = _size(MARGIN * num_bytes), _size(shutil.disk_usage(place).free)
    return f"need {need}, have {have} at {path}. Free some, or write elsewhere"


def _size(num_bytes: float) -> str:
    return (
        f"{num_bytes / 2**30:,.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.2f} MiB"
    )
