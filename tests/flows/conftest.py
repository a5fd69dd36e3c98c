"""A toy project: three real stages under real DVC and git."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows import environment

os.environ["PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS"] = "0"
os.environ["PREFECT_RUNNER_POLL_FREQUENCY"] = "1"
environment.prepare()

PARAMS = "first: {value: 1}\nsecond: {value: 2}\nthird: {value: 3}\n"
STAGES = """
stages:
  third:
    cmd: python third.py
    deps: [two]
    params: [third]
    metrics: [scores.json: {cache: false}]
  first:
    cmd: python first.py
    params: [first]
    outs: [one.txt]
  second:
    cmd: python second.py
    deps: [one.txt]
    params: [second]
    outs: [two, page.html]
"""
SCRIPTS = {
    "first.py": "open('one.txt', 'w').write('1'); print('first: wrote a one')",
    "second.py": (
        "import pathlib; pathlib.Path('two').mkdir(); print('second: 1 of 1 files, 0:00 left')\n"
        "pathlib.Path('two/contact-sheet.png').write_bytes(b'picture')\n"
        "pathlib.Path('page.html').write_text('page'); print('second: wrote a page')"
    ),
    "third.py": "open('scores.json', 'w').write('{\"near\": {\"distance\": 1.25}}')",
}


@pytest.fixture(scope="session")
def new_toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project to copy: DVC takes seconds to make one."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(STAGES)
    for name, script in SCRIPTS.items():
        (folder / name).write_text(script)
    with contextlib.chdir(folder):
        subprocess.run(["git", "init", "--quiet"], check=True)
        dvc("init", "--quiet")
    return folder


@pytest.fixture
def toy(new_toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, nothing run yet. dvc.yaml does not list its stages in order."""
    shutil.copytree(new_toy, tmp_path, dirs_exist_ok=True)
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


def dvc(*arguments: str) -> str:
    """Run a DVC command in the current folder; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
