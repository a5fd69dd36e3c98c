import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from shared.folders import make_once
from shared.services import SharedService, files_that_use

# Several processes run tests: threads that wait must not spin at all, and with tensors as small as
# theirs a second thread takes more time than it saves.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each process takes the next file of this order when it is done with one, so what takes long comes
# first: at the end no process waits for the other's last file. Files that share a service come one
# after the other.
ON_RAY = "files with a test that uses `ray_cluster`"
LONGEST = (
    "tests/pipeline/",
    "tests/flows/test_run_command",
    "tests/flows/test_serve",
    "tests/flows/test_pipeline",
    ON_RAY,
    "tests/measurements/test_benchmarks",
    "tests/flows/",
    "tests/curation/scrape/",
    "tests/curation/guard/test_scrape",
    "tests/inference/",
    "tests/measurements/test_gpu_benchmark",
    "tests/tracking/",
)


RAY: SharedService[None] = SharedService("ray_cluster")


def pytest_collection_modifyitems(items):
    on_ray = files_that_use(RAY.fixture, items)

    def place(item):
        if item.path in on_ray:
            return LONGEST.index(ON_RAY)
        starts = enumerate((*LONGEST, ""))
        return next(place for place, start in starts if item.nodeid.startswith(start))

    items.sort(key=place)


@pytest.fixture(scope="module")
def ray_cluster():
    """A Ray of two CPUs, which stages and launchers join."""
    from pdm.machine.cluster import ray_session  # not earlier: it takes long

    RAY.started(partial(ray_session, num_cpus=2))


@pytest.hookimpl(trylast=True)  # after the fixtures that use the service
def pytest_runtest_teardown(item, nextitem):
    RAY.end_unless_used_by_file_of(nextitem)


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
