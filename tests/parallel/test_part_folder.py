import shutil
import signal
import subprocess
import sys

import pytest

from pdm.errors import Unavailable
from pdm.files import atomic_file
from pdm.parallel.part_folder import part_folder


def write(folder, part, text):
    with atomic_file(folder.files / part) as temporary:
        temporary.write_text(text)
    folder.finish(part, {"length": len(text)})


def fail_after_one_part(path, key, *, discard=False):
    with part_folder(path, key) as folder:
        write(folder, "a", "first")
        if discard:
            folder.discard()
        raise KeyboardInterrupt


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_finished_parts_outlive_a_failure_and_appear_under_the_final_name_at_the_end(tmp_path):
    path = tmp_path / "new" / "whole"
    with pytest.raises(KeyboardInterrupt):
        fail_after_one_part(path, "key")
    assert not path.exists()
    with part_folder(path, "key") as folder:
        assert folder.is_done("a")
        assert not folder.is_done("b")
        assert folder.record_of("a") == {"length": 5}
        write(folder, "b", "second")
    assert {file.name: file.read_text() for file in path.iterdir()} == {"a": "first", "b": "second"}
    assert names(path.parent) == ["whole"]


def test_parts_of_another_key_are_removed(tmp_path):
    path = tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        fail_after_one_part(path, "1" * 64)
    with part_folder(path, "2" * 64) as folder:
        assert not folder.is_done("a")
        assert names(folder.files) == []
        assert len(names(tmp_path)) == 2  # the new parts, and the lock
        write(folder, "b", "second")
    assert names(path) == ["b"]


@pytest.mark.parametrize("other", ["whole-2", "[w]hole"])
def test_unfinished_parts_of_a_folder_with_a_similar_name_stay(other, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fail_after_one_part(tmp_path / other, "1" * 64)
    with part_folder(tmp_path / "whole", "2" * 64):
        pass
    with part_folder(tmp_path / other, "1" * 64) as folder:
        assert folder.is_done("a")


def test_the_old_folder_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "whole"
    path.mkdir()
    (path / "old").touch()
    with part_folder(path, "key") as folder:
        write(folder, "a", "first")
        assert names(path) == ["old"]
    assert names(path) == ["a"]


def test_a_kill_right_after_the_folder_has_appeared_leaves_no_part_that_counts_as_done(tmp_path):
    path = tmp_path / "whole"
    kill_after_renaming(path)
    assert names(path) == ["a"]
    shutil.rmtree(path)  # DVC removes the outputs of a stage before it runs it again
    with part_folder(path, "key") as folder:
        assert folder.done() == set()
        write(folder, "a", "first")
    assert names(path) == ["a"]
    assert names(tmp_path) == ["whole"]


def kill_after_renaming(path):
    """Write the folder in a process that is killed when `path` is complete."""
    script = f"""
import os, shutil, signal
from pathlib import Path
from pdm.parallel.part_folder import part_folder
with part_folder(Path({str(path)!r}), "key") as folder:
    (folder.files / "a").write_text("first")
    folder.finish("a", {{"length": 5}})
    shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL


def test_discarded_parts_are_gone(tmp_path):
    path = tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        fail_after_one_part(path, "key", discard=True)
    with part_folder(path, "key") as folder:
        assert not folder.is_done("a")


def test_a_second_writer_is_refused(tmp_path):
    with (
        part_folder(tmp_path / "whole", "key"),
        pytest.raises(Unavailable, match="is being written"),
        part_folder(tmp_path / "whole", "key"),
    ):
        pass
