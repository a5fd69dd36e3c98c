"""Folders that all processes of a test run share, for what takes seconds to make."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name; whichever process asks first lets `make` fill it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # a worker's own folder is inside that of the run
    with (base / f".lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / name).exists():
            temporary = base / f".new-{name}"
            temporary.mkdir()
            make(temporary)
            temporary.rename(base / name)
    return base / name
