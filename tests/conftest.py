import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from shared_folders import make_once

# Several processes run tests: threads that wait must not spin at all, and with tensors as small as
# theirs a second thread takes more time than it saves.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each process takes the next file of this order when it is done with one, so what takes long comes
# first: at the end no process waits for the other's last file.
LONGEST = (
    "tests/pipeline/",
    "tests/flows/test_run_command",
    "tests/measurements/test_benchmarks",
    "tests/flows/",
    "tests/training/distributed/test_ray_launcher",
    "tests/curation/scrape/",
    "tests/curation/guard/test_scrape",
    "tests/curation/shard/test_bucket_crops",
    "tests/inference/",
    "tests/measurements/test_gpu_benchmark",
    "tests/tracking/",
)


def pytest_collection_modifyitems(items):
    items.sort(
        key=lambda item: next(
            place for place, start in enumerate((*LONGEST, "")) if item.nodeid.startswith(start)
        )
    )


@pytest.fixture(scope="session")
def new_prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes folders for Prefect in which nothing was run. Prefect takes seconds to make a
    database, so each folder gets a copy."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        environment = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        subprocess.run(command, env=os.environ | environment, capture_output=True, check=True)

    def copy() -> Path:
        empty = make_once(tmp_path_factory, "empty-prefect", make)
        return shutil.copytree(empty, tmp_path_factory.mktemp("prefect"), dirs_exist_ok=True)

    return copy
