import json
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import save_file

from pdm.files import atomic_file, atomic_folder, sha256_of, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed_inside(code, *arguments):
    """Run `code` in a process of its own, which kills itself where it calls `die()`."""
    head = """
        import os, signal, sys
        from pathlib import Path
        from pdm import files
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        path = Path(sys.argv[1])
    """
    program = textwrap.dedent(head) + textwrap.dedent(code)
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=False)
    assert done.returncode == -signal.SIGKILL


def write_half_a_file(path):
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError("no")


def write_half_a_folder(path):
    with atomic_folder(path) as temporary:
        fill(temporary, "half")
        raise ValueError("no")


# one file


def test_a_file_appears_under_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["file"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ValueError, match="no"):
        write_half_a_file(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_kill_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    killed_inside(
        """
        with files.atomic_file(path) as temporary:
            temporary.write_text("half")
            die()
        """,
        path,
    )
    assert path.read_text() == "old"
    write_text(path, "new")
    assert names(tmp_path) == ["file"]  # the next writer cleared what the killed one left


def test_a_kill_in_the_middle_of_a_new_file_leaves_none(tmp_path):
    path = tmp_path / "file"
    killed_inside(
        """
        with files.atomic_file(path) as temporary:
            temporary.write_text("half")
            die()
        """,
        path,
    )
    assert not path.exists()


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "file"):
        pass
    assert names(tmp_path) == []


# one folder


def fill(folder, text):
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text(text)


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "folder"
    for text in ("old", "new"):
        with atomic_folder(path) as temporary:
            fill(temporary, text)
    assert (path / "inner" / "file").read_text() == "new"
    assert names(tmp_path) == ["folder"]


def test_what_the_old_folder_held_besides_is_gone(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "leftover").touch()
    with atomic_folder(path) as temporary:
        fill(temporary, "new")
    assert names(path) == ["inner"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    fill(path, "old")
    with pytest.raises(ValueError, match="no"):
        write_half_a_folder(path)
    assert (path / "inner" / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_kill_while_a_folder_is_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    fill(path, "old")
    killed_inside(
        """
        with files.atomic_folder(path) as temporary:
            (temporary / "file").write_text("half")
            die()
        """,
        path,
    )
    assert (path / "inner" / "file").read_text() == "old"
    with atomic_folder(path) as temporary:
        assert names(temporary) == []
        fill(temporary, "new")
    assert names(tmp_path) == ["folder"]


def test_a_kill_between_the_two_renames_loses_neither_version(tmp_path):
    """The name is then free; the old folder lies beside it until the next writer is done."""
    path = tmp_path / "folder"
    path.mkdir()
    fill(path, "old")
    killed_inside(
        """
        class Dying(type(path)):
            def replace(self, target):
                if self.name.startswith(".tmp-"):
                    die()
                return super().replace(target)

        with files.atomic_folder(Dying(path)) as temporary:
            (temporary / "file").write_text("new")
        """,
        path,
    )
    assert not path.exists()
    with pytest.raises(ValueError, match="no"):
        write_half_a_folder(path)
    assert (path / "inner" / "file").read_text() == "old"
    assert names(tmp_path) == ["folder"]


def test_a_file_that_stands_where_the_folder_belongs_is_replaced(tmp_path):
    path = tmp_path / "folder"
    path.write_text("a file")
    with atomic_folder(path) as temporary:
        fill(temporary, "new")
    assert path.is_dir()
    assert names(tmp_path) == ["folder"]


# JSON and digests


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": [1.5, "é"]})
    write_json(tmp_path / "b", {"a": [1.5, "é"], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text(encoding="utf-8")) == {"a": [1.5, "é"], "b": 1}


def test_what_is_no_json_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a", {"loss": float("nan")})
    assert (tmp_path / "a").read_text() == "1\n"
    assert names(tmp_path) == ["a"]


def test_the_digest_is_that_of_the_content(tmp_path):
    write_text(tmp_path / "a", "abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(tmp_path / "a") == known


def test_a_new_file_has_the_usual_permissions(tmp_path):
    write_text(tmp_path / "a", "abc")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_tensors_can_be_read_by_all_who_can_read_other_files(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_folder(tmp_path / "model") as folder:
        save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    with atomic_file(tmp_path / "latents.safetensors") as temporary:
        save_file({"a": torch.zeros(1)}, temporary)
    expected = (tmp_path / "plain").stat().st_mode
    for path in (tmp_path / "model/model.safetensors", tmp_path / "latents.safetensors"):
        assert path.stat().st_mode == expected
