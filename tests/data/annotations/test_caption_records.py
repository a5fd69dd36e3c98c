"""Captions in decisions and latents: one, several, none; data without them keep their bytes."""

import pyarrow.parquet as pq
import pytest
import torch

from pdm.data import decisions
from pdm.data.annotations.captions import as_lines, captions_of
from pdm.data.shards import manifest
from pdm.data.shards.latent_file import write_shard
from pdm.data.shards.latents import LatentShards

PYRAMID = (torch.zeros(3, 2, 1, 1),)
CAPTIONS = [("a boat", "a red boat at sea"), (), ("eine Düne",)]


@pytest.mark.parametrize(
    ("record", "captions"),
    [
        ({}, ()),
        ({"caption": None, "captions": None}, ()),
        ({"caption": "a boat"}, ("a boat",)),
        ({"caption": "a", "captions": ["a", "b"]}, ("a", "b")),
    ],
)
def test_a_record_has_one_caption_or_several_or_none(record, captions):
    assert captions_of(record) == captions


def test_a_caption_of_several_lines_is_one_line():
    assert as_lines(("a boat\n  at sea", "a dune")) == "a boat at sea\na dune\n"
    assert as_lines(()) == ""


def test_decisions_have_a_column_for_several_captions_only_where_a_picture_has_them(tmp_path):
    for name, rows in (
        ("one", [{"key": "1", "caption": "a boat"}]),
        ("two", [{"key": "1", "caption": "a", "captions": ("a", "b")}, {"key": "2"}]),
    ):
        (tmp_path / name).mkdir()
        decisions.save(tmp_path / name, rows)
    assert "captions" not in pq.read_schema(tmp_path / "one" / decisions.FILE_NAME).names
    for found in (
        decisions.load(tmp_path / "one"),
        decisions.load_matching(tmp_path / "one", "key", ["1"]),
    ):
        assert captions_of(found[0]) == ("a boat",)
    assert [captions_of(row) for row in decisions.load(tmp_path / "two")] == [("a", "b"), ()]
    assert decisions.load_matching(tmp_path / "two", "key", ["1"])[0]["captions"] == ["a", "b"]
    assert decisions.load_columns(tmp_path / "one", ("captions",))["captions"].null_count == 1


def test_latents_give_back_the_captions_of_each_picture(tmp_path):
    keys = ["a", "b", "c"]
    shard = write_shard(tmp_path / "train-0.safetensors", keys, PYRAMID, captions=CAPTIONS)
    manifest.Manifest({"train": [shard]}, {}).save(tmp_path)
    assert LatentShards(tmp_path, "train").captions == CAPTIONS


def test_latents_without_captions_have_the_bytes_of_before(tmp_path):
    shard = write_shard(tmp_path / "train-0.safetensors", ["a", "b", "c"], PYRAMID)
    # The digest of the same call in the version before captions.
    assert shard.sha256 == "275cf8915baabe36a8de5c56e6015336f25a4f472a5b2688df416ed7e6d3c960"
    manifest.Manifest({"train": [shard]}, {}).save(tmp_path)
    assert LatentShards(tmp_path, "train").captions == [(), (), ()]
