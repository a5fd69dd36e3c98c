"""Keeps what is finished of a large image beside its file, so that a killed run goes on."""

import glob
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0

from pdm.data.pixels import Pixels
from pdm.files import atomic_file, sole_writer

logger = logging.getLogger(__name__)

DIGITS = 16  # of a digest in the name of a folder


@contextmanager
def unfinished(path: Path, depends: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder for what is finished of a file, and remove it at the end of the block.

    If the block fails or the process is killed, the folder stays for the next writer of the same
    file from the same facts. What was begun from other facts is removed.

    Args:
        path: Of the file.
        depends: Everything that its content depends on; JSON.

    Raises:
        Unavailable: Another process is writing the same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(json.dumps(dict(depends), sort_keys=True).encode()).hexdigest()
    folder = path.with_name(f".part-{path.name}-{key[:DIGITS]}")
    with sole_writer(path):
        for other in _folders_of(path):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        if folder.exists():
            logger.info("%s: continuing where an earlier run stopped", path)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def remove_unfinished(path: Path) -> None:
    """Remove what a run left beside a finished file, if it was killed right after writing it."""
    for folder in _folders_of(path):
        shutil.rmtree(folder, ignore_errors=True)


def _folders_of(path: Path) -> list[Path]:
    # The name may have characters of patterns, as "photo[1].png".
    return list(path.parent.glob(f".part-{glob.escape(path.name)}-{'?' * DIGITS}"))


def load_or_draw(path: Path, size: tuple[int, int], draw: Callable[[], Iterable[Pixels]]) -> Pixels:
    """Load an image from the disk; draw it first, if it is not there.

    Args:
        path: Ends in .npy.
        size: (H, W).
        draw: Gives its bands, uint8 (rows, W, 3), from the top.

    Returns:
        uint8 (H, W, 3), mapped from the file.
    """
    if not path.exists():
        # Not into a mapped file: there a full disk kills the process, without a word.
        facts = {"descr": "|u1", "fortran_order": False, "shape": (*size, 3)}
        with atomic_file(path) as temporary, temporary.open("wb") as file:
            write_array_header_1_0(file, facts)
            row = 0
            for band in draw():
                file.write(np.ascontiguousarray(band).data)
                row += len(band)
            assert row == size[0], f"bands have {row} rows, the image has {size[0]}"
    # A private copy on write: libraries that take writable memory only can read it.
    picture: Pixels = np.load(path, mmap_mode="c")
    return picture
