"""DVC's own cache, made by DVC, and damage that DVC does not notice."""

import os
import subprocess
import sys

import pytest
from damaged_data import flip

from pdm import cli
from pdm.data.verification.verify import verify


def dvc(folder, *words):
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder of two files and a single file, in DVC's cache and in a remote."""
    folder = tmp_path_factory.mktemp("project")
    dvc(folder, "init", "--no-scm", "--quiet")
    (folder / "data").mkdir()
    for name in ("data/a.bin", "data/b.bin", "c.bin"):
        (folder / name).write_bytes(name.encode() * 1000)
    dvc(folder, "add", "--quiet", "data", "c.bin")
    dvc(folder, "remote", "add", "--default", "store", str(folder / "store"))
    dvc(folder, "push", "--quiet")
    return folder


def rot(file):
    """Change a bit, and leave size and time as they were."""
    before = file.stat()
    file.chmod(0o644)
    flip(file, before.st_size // 2)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def files_in(cache):
    return sorted(file for file in cache.rglob("*") if file.is_file())


def test_an_intact_cache_and_an_intact_remote_are_counted(project):
    said = verify([project / ".dvc" / "cache", project / "store"])
    assert said.count("4 files of DVC's cache") == 2  # three files, and the list of the folder


def test_a_bit_that_dvc_does_not_notice_is_found_in_each_kind_of_file(project, caplog, capsys):
    cache = project / ".dvc" / "cache"
    files = files_in(cache / "files")
    assert len(files) == 4
    for file in files:
        whole = file.read_bytes()
        rot(file)
        if file.suffix != ".dir":  # a damaged list it may not be able to read
            assert "up to date" in dvc(project, "status")
        caplog.clear()
        assert cli.main(["data", "verify", str(cache)]) == 3
        found = [record.message for record in caplog.records if "damaged: " in record.message]
        assert len(found) == 1
        assert str(file) in found[0]
        assert "delete it; `dvc repro`" in found[0]
        assert "1 fault in 1 file" in capsys.readouterr().err
        file.write_bytes(whole)


def test_other_files_in_the_cache_are_left_alone(project):
    cache = project / ".dvc" / "cache"
    stray = cache / "files" / "md5" / "00" / "unfinished.tmp"
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"")
    assert verify([cache]).startswith("verified 4 files of DVC's cache, ")
