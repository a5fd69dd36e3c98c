"""Files written tensor by tensor, read by the safetensors library."""

import hashlib

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pdm.tensor_file import DTYPES, write_tensors


def test_the_safetensors_library_reads_what_is_written(tmp_path):
    tensors = {f"of {dtype}": torch.arange(7).to(dtype) for dtype in DTYPES}
    tensors |= {"scalar": torch.tensor(3.0), "empty": torch.zeros(0, 4), "ü": torch.ones(1)}
    weight = torch.randn(2, 3, 4, 5)
    tensors["channels last"] = weight.to(memory_format=torch.channels_last)
    tensors["turned"] = weight.permute(3, 2, 1, 0)
    digest = write_tensors(tmp_path / "file", tensors)
    found = load_file(tmp_path / "file")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name
    assert digest == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path):
    tensors = {
        "b": torch.randn(3),
        "ü": torch.randn(2, 3),
        "a": torch.arange(3),
        "s": torch.ones(()),
    }
    write_tensors(tmp_path / "1", tensors)
    save_file(tensors, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    write_tensors(tmp_path / "1", tensors, torch.float16)
    save_file({name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "2")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_facts_are_the_metadata_of_the_safetensors_library(tmp_path):
    tensors, facts = {"a": torch.randn(3)}, {"format": 'a "word" and an ü'}
    write_tensors(tmp_path / "1", tensors, facts=facts)
    save_file(tensors, tmp_path / "2", facts)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    with safe_open(tmp_path / "1", framework="pt") as file:
        assert file.metadata() == facts


def test_neither_order_nor_layout_changes_the_bytes(tmp_path):
    a, b = torch.randn(2, 3, 4, 5), torch.randn(3)
    other = {"b": b, "a": a.to(memory_format=torch.channels_last)}
    assert write_tensors(tmp_path / "1", {"a": a, "b": b}) == write_tensors(tmp_path / "2", other)
