import dataclasses
import json
import pickle
import resource
import struct

import pytest
import torch

from pdm import weights
from pdm.errors import BadInput, Unavailable


@dataclasses.dataclass(frozen=True)
class Config:
    widths: tuple[int, ...]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    weights.save(
        folder, "Toy", Config((1, 2)), {"weight": torch.arange(6.0).view(2, 3)}, data="abc"
    )
    return folder


def test_what_was_saved_is_loaded(folder):
    record, tensors = weights.load(folder, "Toy")
    assert record == {"kind": "Toy", "config": {"widths": [1, 2]}, "data": "abc"}
    assert torch.equal(tensors["weight"], torch.arange(6.0).view(2, 3))


def test_equal_models_give_equal_bytes(folder, tmp_path):
    again = tmp_path / "again"
    weights.save(again, "Toy", Config((1, 2)), {"weight": torch.arange(6.0).view(2, 3)}, data="abc")
    for name in ("config.json", "model.safetensors"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_views_and_graphs_are_saved_by_value(tmp_path):
    base = torch.arange(12.0, requires_grad=True).view(3, 4)
    weights.save(tmp_path / "m", "Toy", Config(()), {"a": base.T, "b": base[:2]})
    _, tensors = weights.load(tmp_path / "m", "Toy")
    assert torch.equal(tensors["a"], base.T)
    assert torch.equal(tensors["b"], base[:2])


def test_a_model_of_another_kind_is_refused(folder):
    with pytest.raises(BadInput, match="is a Toy, not a PyramidUNet"):
        weights.load(folder, "PyramidUNet")


def test_missing_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"not a model folder that can be read .*; copy it again"):
        weights.load(folder, "Toy")


def test_a_folder_without_a_model_is_refused_as_one(folder, tmp_path):
    (folder / "config.json").unlink()
    for place in (folder, tmp_path / "nowhere"):
        with pytest.raises(BadInput, match=f"{place} has no trained model"):
            weights.load(place, "Toy")


def test_a_pickle_is_never_loaded(folder, tmp_path):
    class Planted:
        def __reduce__(self):
            return (open, (str(tmp_path / "planted"), "w"))

    (folder / "model.safetensors").write_bytes(pickle.dumps(Planted()))
    with pytest.raises(BadInput):
        weights.load(folder, "Toy")
    assert not (tmp_path / "planted").exists()


def test_a_torch_file_is_refused(folder):
    torch.save({"weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(BadInput):
        weights.load(folder, "Toy")


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",  # a header longer than any file
        struct.pack("<Q", 10) + b"{",
        struct.pack("<Q", 2) + b"\xff\xff",
        header({"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, b"\x00" * 8),
        header({"weight": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}, b"\x00" * 8),
        header({"weight": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, b"\x00" * 8),
        header({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, b"\x00" * 8),
        header({"weight": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}}, b"\x00" * 8),
    ],
)
def test_a_header_that_lies_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=r"not a model folder that can be read .*; copy it again"):
        weights.load(folder, "Toy")


def test_a_truncated_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadInput):
        weights.load(folder, "Toy")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"Toy"', "null", '{"config": {}}'])
def test_a_damaged_config_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(BadInput):
        weights.load(folder, "Toy")


def test_a_failed_save_leaves_the_old_model(folder):
    with pytest.raises(ValueError, match="JSON"):
        weights.save(folder, "Toy", Config(()), {}, loss=float("nan"))
    record, _ = weights.load(folder, "Toy")
    assert record["data"] == "abc"


def test_weights_that_do_not_fit_on_the_disk_leave_the_old_model(folder):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {"weight": torch.zeros(100_000)}
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limit[1]))
        with pytest.raises(Unavailable, match=r"model cannot be written \(.*check the disk"):
            weights.save(folder, "Toy", Config((1,)), large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert torch.equal(weights.load(folder, "Toy")[1]["weight"], torch.arange(6.0).view(2, 3))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
