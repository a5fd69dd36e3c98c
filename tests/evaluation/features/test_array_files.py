import mmap

import numpy as np
import pytest
from safetensors.numpy import load_file

from pdm.evaluation.features.array_files import GrowingArray, read_arrays, write_arrays

ARRAYS = {
    "few": np.arange(3, dtype=np.int64),
    "features": np.random.default_rng(0).normal(size=(5, 4)),
    "thumbnails": np.random.default_rng(1).normal(size=(5, 3, 2, 2)).astype(np.float32),
    "count": np.array(7),
    "empty": np.empty((0, 4)),
}


def root(array):
    while not isinstance(array, mmap.mmap) and array.base is not None:
        array = array.base
    return array


def test_a_file_gives_its_arrays_back_and_is_mapped_not_read(tmp_path):
    write_arrays(tmp_path / "file", ARRAYS)
    found = read_arrays(tmp_path / "file")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)
    assert isinstance(root(found["features"]), mmap.mmap)


def test_the_library_reads_the_file(tmp_path):
    write_arrays(tmp_path / "file", ARRAYS)
    found = load_file(tmp_path / "file")
    assert all(np.array_equal(found[name], array) for name, array in ARRAYS.items())


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_counts_as_missing(tmp_path, length, caplog):
    write_arrays(tmp_path / "file", ARRAYS)
    content = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(content[:length])
    assert read_arrays(tmp_path / "file") is None
    assert "cannot be read" in caplog.text


def test_rows_that_were_appended_are_there_after_the_file_was_removed(tmp_path):
    growing = GrowingArray(tmp_path / "rows")
    parts = [np.full((count, 2, 3), count, dtype=np.float32) for count in (1, 3, 2)]
    for part in parts:
        growing.append(part)
    array = growing.array()
    (tmp_path / "rows").unlink()
    assert np.array_equal(array, np.concatenate(parts))
    assert isinstance(root(array), mmap.mmap)
