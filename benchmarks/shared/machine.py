"""The machine that a benchmark runs on, its load, and the versions of the packages."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.shared.checkout import commit

PACKAGES = (
    *("numpy", "pillow", "opencv-python-headless", "simplejpeg", "torch", "scipy", "pyarrow"),
    *("ray", "webdataset", "diffusers", "torchmetrics"),
)


def machine() -> dict[str, Any]:
    """Commit, processor and versions. `threads` holds unless the note of a line says otherwise."""
    return {
        "git": commit(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "threads": 1,
    }


def load() -> float:
    """Processes that wanted a core, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def _version(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")
