"""Reading published checkpoints, without running what their pickles name."""

import os

import pytest
import torch
from shared.published_stablesr import (
    save_as_lightning,
)

from pdm.baselines.stablesr.checkpoint import read_tensors
from pdm.errors import BadInput


class Runs:
    """Would write a file as it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_other_code_is_refused_and_not_run(tmp_path):
    torch.save(
        {"state_dict": {"a": torch.ones(1)}, "b": Runs(tmp_path / "made")}, tmp_path / "x.ckpt"
    )
    with pytest.raises(BadInput, match="mkdir"):
        read_tensors(tmp_path / "x.ckpt")
    assert not (tmp_path / "made").exists()


def test_lightnings_callbacks_are_passed_over(tmp_path):
    save_as_lightning({"a": torch.arange(3.0)}, tmp_path / "x.ckpt")
    found = read_tensors(tmp_path / "x.ckpt")
    assert list(found) == ["a"]
    assert torch.equal(found["a"], torch.arange(3.0))


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.ckpt", b"no checkpoint"), ("x.safetensors", b"no tensors"), ("y.ckpt", b"")],
)
def test_a_damaged_file_is_refused_in_one_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name) as caught:
        read_tensors(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.ckpt")
    with pytest.raises(BadInput, match="has no tensors with names"):
        read_tensors(tmp_path / "x.ckpt")
