import os
import signal
import subprocess
import sys
import time

import pytest

from pdm.scratch_folders import MIN_AGE_SECONDS, scratch_folder

IN_USE = """
import sys, time
from pathlib import Path
from pdm.scratch_folders import scratch_folder
with scratch_folder("ema", Path(sys.argv[1])) as folder:
    (folder / "weights").write_text("large")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other_process(tmp_path):
    """A process that uses a folder in `tmp_path`, and that folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", IN_USE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    yield process, tmp_path / process.stdout.readline().strip()
    process.kill()
    process.wait()


def age(folder):
    then = time.time() - 2 * MIN_AGE_SECONDS
    os.utime(folder, (then, then))


def test_a_folder_is_empty_and_gone_afterwards(tmp_path):
    with scratch_folder("ema", tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "weights").touch()
    assert list(tmp_path.iterdir()) == []


def test_without_a_parent_it_is_where_the_system_has_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("champion") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("pyramid-champion-")


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM])
def test_the_folder_of_a_killed_process_goes_at_the_next_use(tmp_path, other_process, ended_by):
    process, left = other_process
    process.send_signal(ended_by)
    process.wait()
    assert (left / "weights").exists()
    age(left)
    with scratch_folder("other", tmp_path):
        assert left.exists()
    with scratch_folder("ema", tmp_path):
        assert not left.exists()


def test_a_folder_that_is_in_use_or_quite_new_stays(tmp_path, other_process):
    _, used = other_process
    age(used)
    new = tmp_path / ".tmp-ema-new"
    new.mkdir()
    with scratch_folder("ema", tmp_path) as folder:
        assert sorted(tmp_path.iterdir()) == sorted([used, new, folder])
    assert (used / "weights").read_text() == "large"


def test_what_only_looks_like_one_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    (tmp_path / ".tmp-ema-link").symlink_to(elsewhere)
    (tmp_path / ".tmp-ema-file").touch()
    age(elsewhere)
    age(tmp_path / ".tmp-ema-file")
    with scratch_folder("ema", tmp_path):
        pass
    assert (elsewhere / "mine").exists()
    assert (tmp_path / ".tmp-ema-file").exists()
