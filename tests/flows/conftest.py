"""Projects to run, and a Prefect server of our own."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shared.folders import make_once
from toy_project import bring_up_to_date, make_toy

from flows import environment

os.environ["PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS"] = "0"
os.environ["PREFECT_RUNNER_POLL_FREQUENCY"] = "1"
environment.prepare()


@pytest.fixture(scope="session")
def new_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project to copy: DVC takes seconds to make one."""
    return make_once(tmp_path_factory, "toy", make_toy)


@pytest.fixture(scope="session")
def finished_toy(new_toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project to copy whose stages have run."""

    def make(folder: Path) -> None:
        shutil.copytree(new_toy, folder, dirs_exist_ok=True)
        with contextlib.chdir(folder):
            bring_up_to_date()

    return make_once(tmp_path_factory, "finished-toy", make)


@pytest.fixture
def toy(new_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, nothing run yet."""
    shutil.copytree(new_toy, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def done(finished_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, all stages up to date."""
    shutil.copytree(finished_toy, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def script(toy: Path) -> Callable[[str], Path]:
    """Replaces what the first stage does."""

    def replace(text: str) -> Path:
        Path("first.py").write_text(text)
        return Path("first.py")

    return replace


@pytest.fixture(scope="session")
def server(new_prefect_home: Callable[[], Path]) -> Iterator[str]:
    """The address of a Prefect server of our own, which flows and clients here use."""
    from flows.server import local_server

    os.environ["PREFECT_HOME"] = str(new_prefect_home())
    with local_server() as url:
        yield url
