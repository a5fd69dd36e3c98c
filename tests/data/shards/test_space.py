import errno
import os
import shutil
import subprocess

import pytest

from pdm.data.space import disk_space_for
from pdm.errors import Unavailable
from pdm.files import atomic_folder


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_what_does_not_fit_is_not_begun(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    place = tmp_path / "not" / "yet" / "there"
    with (
        pytest.raises(Unavailable, match=rf"need .* GiB, have .* GiB at {place}"),
        disk_space_for(place, free),
    ):
        raise AssertionError("begun")


def test_a_fifth_more_than_the_estimate_must_be_free(small_disk):
    with disk_space_for(small_disk, int(2**20 / 1.25)):
        pass
    with (
        pytest.raises(Unavailable, match=r"need 1\.04 MiB, have 1\.00 MiB"),
        disk_space_for(small_disk, int(2**20 / 1.15)),
    ):
        raise AssertionError("begun")


def test_a_disk_that_fills_up_all_the_same_says_what_was_needed(small_disk):
    with (
        pytest.raises(Unavailable, match=r"filled up: need 0\.12 MiB, have 0\.00 MiB at"),
        disk_space_for(small_disk, 100 * 1024),
    ):
        (small_disk / "much").write_bytes(bytes(2 * 2**20))


def test_what_was_free_is_told_although_unfinished_files_were_removed(small_disk):
    shards = small_disk / "shards"
    with (
        pytest.raises(Unavailable, match=rf"need 0\.12 MiB, have 0\.00 MiB at {shards}\."),
        disk_space_for(shards, 100 * 1024),
        atomic_folder(shards) as folder,
    ):
        (folder / "much").write_bytes(bytes(2 * 2**20))
    assert not any(small_disk.iterdir())


def test_other_faults_pass_through(tmp_path):
    with pytest.raises(OSError, match="broken"), disk_space_for(tmp_path, 1):
        raise OSError(errno.EIO, "broken")
