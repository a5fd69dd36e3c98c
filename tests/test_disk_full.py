"""A disk that fills up: the error names the place that the user knows, and what was free."""

import errno
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError

from pdm.disk_full import DiskFull, free_bytes, naming_full_disk, size_text
from pdm.files import atomic_file, atomic_folder, write_text
from pdm.parallel.part_folder import part_folder

FULL = OSError(errno.ENOSPC, "No space left on device")  # of a write, which does not say where


def test_a_file_that_does_not_fit_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "images.parquet"

    def write():
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise FULL

    with pytest.raises(DiskFull, match=r"the disk is full, [\d.,]+ .iB free") as caught:
        write()
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert not any(tmp_path.iterdir())


def test_a_folder_is_named_and_not_its_unfinished_file_and_the_old_one_stays(tmp_path):
    folder = tmp_path / "shards"
    with atomic_folder(folder) as temporary:
        write_text(temporary / "one", "old")

    def write():
        with atomic_folder(folder) as temporary:
            write_text(temporary / "one", "new")
            with atomic_file(temporary / "two"):
                raise FULL

    with pytest.raises(DiskFull) as caught:
        write()
    assert caught.value.filename == str(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
    assert (folder / "one").read_text() == "old"


def test_a_folder_written_by_parts_is_named_and_its_parts_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = Path("samples")

    def write():
        with part_folder(name, "0" * 16) as folder:
            write_text(folder.files / "0.png", "image")
            folder.finish("0", {})
            with atomic_file(folder.absolute().files / "1.png"):  # as a worker writes it
                raise FULL

    with pytest.raises(DiskFull) as caught:
        write()
    assert caught.value.filename == "samples"
    with part_folder(name, "0" * 16) as folder:
        assert folder.is_done("0")


def test_another_disk_is_named_where_the_error_knows_it(tmp_path):
    elsewhere = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "cache" / "one"))
    with pytest.raises(OSError, match="No space left") as caught, atomic_folder(tmp_path / "raw"):
        raise elsewhere
    assert caught.value is elsewhere


def test_the_target_of_a_copy_is_named_and_not_its_source(tmp_path):
    source = tmp_path / "source"
    copy = tmp_path / "raw" / "copy"
    with pytest.raises(DiskFull) as caught, naming_full_disk(tmp_path / "raw", tmp_path / "raw"):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(copy))
    assert caught.value.filename == str(tmp_path / "raw")


def test_an_error_of_safetensors_counts_although_it_is_no_os_error(tmp_path):
    text = "Error while serializing: I/O error: No space left on device (os error 28)"
    with pytest.raises(DiskFull), atomic_file(tmp_path / "one"):
        raise SafetensorError(text)
    with pytest.raises(SafetensorError), atomic_file(tmp_path / "one"):
        raise SafetensorError("I/O error: Permission denied (os error 13)")


def test_a_worker_can_send_it_to_another_process(tmp_path):
    with pytest.raises(DiskFull) as caught, atomic_file(tmp_path / "one"):
        raise FULL
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (sent.errno, sent.filename) == (errno.ENOSPC, str(tmp_path / "one"))
    assert sent.free_bytes == caught.value.free_bytes > 0


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), ValueError("x")])
def test_other_faults_pass_through(tmp_path, fault):
    with pytest.raises(type(fault)) as caught, atomic_file(tmp_path / "one"):
        raise fault
    assert caught.value is fault


def test_free_space_is_known_below_a_folder_that_does_not_exist_yet(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(
        shutil.disk_usage(tmp_path).free, rel=0.1
    )


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(0, "0.00 MiB"), (2**20, "1.00 MiB"), (2**40, "1,024.00 GiB")]
)
def test_sizes_are_told_in_mib_or_gib(num_bytes, text):
    assert size_text(num_bytes) == text
