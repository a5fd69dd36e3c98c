"""Scratch folders that do not stay on the disk after a kill.

`tempfile.TemporaryDirectory` cannot remove its folder if the process is killed, and models and
features in it may take gigabytes. Here each folder is locked by its process, and the next process
that wants one for the same purpose removes those that nobody locks.
"""

import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)

MIN_AGE_SECONDS = 60.0  # a younger one may be about to be locked


@contextmanager
def scratch_folder(purpose: str, parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder, which is removed at the end of the block.

    Args:
        purpose: A word for its name. Folders of the same purpose that killed processes left in
            `parent` are removed first.
        parent: Where to make it; must exist. None: the system's folder for temporary files.
    """
    prefix = f"pyramid-{purpose}-" if parent is None else f".tmp-{purpose}-"
    place = Path(tempfile.gettempdir()) if parent is None else parent
    for left in place.glob(f"{prefix}*"):
        _remove_if_left(left)
    # Its files may still be mapped, which some file systems do not let go.
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=place, ignore_cleanup_errors=True
    ) as folder:
        handle = os.open(folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks: then none is ever removed here
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(folder)
        finally:
            os.close(handle)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder of this user's that no process holds."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # not a folder, already gone, or another user's
        return
    try:
        state = os.fstat(handle)
        if state.st_uid != os.getuid() or time.time() - state.st_mtime < MIN_AGE_SECONDS:
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        logger.info("removed %s, which a killed process had left", folder)
    except OSError:  # in use, or a file system without locks
        return
    finally:
        os.close(handle)
