"""Folders that all processes of a test run share, for what takes seconds to make; and what is in
a folder."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name; whichever process asks first lets `make` fill it. All others read
    it, so no test may write there."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # a worker's own folder is inside that of the run
    folder, made = base / name, base / f".made-{name}"
    with (base / f".lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def file_digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file below the folder, by its path there. There must be one."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files, f"{folder} has no files"
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
