"""Free disk space: checked before a stage starts, and reported if it runs out anyway."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pdm.disk_full import FULL, DiskFull, free_bytes, place_of, size_text
from pdm.errors import Unavailable

MARGIN = 1.2  # of an estimate; file systems keep some for themselves, and estimates err


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
    require_disk_space(path, num_bytes)
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = _known_place(error, path)
        free = error.free_bytes if isinstance(error, DiskFull) else free_bytes(place)
        raise Unavailable(f"the disk filled up: {_shortage(place, num_bytes, free)}") from error


def require_disk_space(path: Path, num_bytes: int) -> None:
    """Check that about `num_bytes` fit below `path`, which need not exist yet.

    Raises:
        Unavailable: Less than `MARGIN * num_bytes` is free.
    """
    free = free_bytes(path)
    if free < MARGIN * num_bytes:
        raise Unavailable(f"{_shortage(path, num_bytes, free)}; nothing was started")


def _known_place(error: OSError, path: Path) -> Path:
    """`path`, or what the error names elsewhere, such as a cache on another disk."""
    named = Path(place_of(error) or path).absolute()
    return path if named.is_relative_to(path.absolute().parent) else named


def _shortage(path: Path, num_bytes: int, free: int) -> str:
    need, have = size_text(MARGIN * num_bytes), size_text(free)
    return f"need {need}, have {have} at {path}. Free some, or write elsewhere"
