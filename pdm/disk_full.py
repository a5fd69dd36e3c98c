"""A disk that fills up while something is written: the error says where, and what was free.

An `OSError` of a write does not know its file, and by the time that it is reported, unfinished
files were removed and their space is free again. So whoever writes names the place at once.
"""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(OSError):
    """The disk is full; `filename` is what was being written."""

    free_bytes = 0  # at that moment, before anything was removed


@contextmanager
def naming_full_disk(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Wrap a block that writes `path`, and that removes nothing if it fails.

    Args:
        path: What the user knows it as; its folder exists.
        unfinished: Where it is until it is complete; an error there is one of `path`.

    Raises:
        DiskFull: The disk filled up within the block, and nothing has named the place yet.
    """
    try:
        yield
    except Exception as error:
        code = _code_of(error)
        if code not in FULL or _is_elsewhere(error, unfinished):
            raise
        free = error.free_bytes if isinstance(error, DiskFull) else free_bytes(path.parent)
        full = DiskFull(code, f"the disk is full, {size_text(free)} free", str(path))
        full.free_bytes = free
        raise full from error


def place_of(error: OSError) -> str | None:
    """The file or folder that could not be written, if the error knows it."""
    place: str | None = error.filename2 or error.filename  # of a copy, where to is the second
    return place


def free_bytes(path: Path) -> int:
    """Free bytes of the disk of `path`, which need not exist yet."""
    place = next(one for one in (path, *path.absolute().parents) if one.exists())
    return shutil.disk_usage(place).free


def size_text(num_bytes: float) -> str:
    """Such as "12.50 MiB"."""
    gib = num_bytes / 2**30
    return f"{gib:,.2f} GiB" if gib >= 1 else f"{num_bytes / 2**20:,.2f} MiB"


def _code_of(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # Of safetensors, whose errors have the number in their text only.
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _is_elsewhere(error: Exception, unfinished: Path | None) -> bool:
    """Whether the error names a place that is no part of what is being written."""
    place = place_of(error) if isinstance(error, OSError) else None
    if place is None:
        return False
    return unfinished is None or not Path(place).absolute().is_relative_to(unfinished.absolute())
