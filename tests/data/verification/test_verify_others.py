"""Damage to raw data and to latents, done for real, and what the check says of it."""

import json
import shutil

import pytest
import torch
from damaged_data import damages, flip, member, picture, write_latents, write_raw, write_shards

from pdm.data.shards import latent_file, manifest, tars
from pdm.data.verification.verify import verify


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")


@pytest.fixture
def raw(tmp_path):
    return write_raw(tmp_path / "raw")


@pytest.fixture
def encoded(tmp_path):
    return write_latents(tmp_path / "latents")


def test_clean_data_is_counted(shards, raw, encoded):
    said = verify([shards, raw, encoded])
    assert said.startswith("verified 6 images in 3 shards, ")
    assert "2 raw images in 1 shard" in said
    assert "2 latents in 1 shard" in said


# raw data


def test_a_flipped_byte_in_a_fetched_file_names_it(raw, caplog):
    flip(raw / "00000.tar", member(raw / "00000.tar", "b2.png").offset + 5)
    (line,) = damages(raw, caplog)
    assert line.startswith("00000.tar: b2.png: its sha256 is not that of the bytes")
    assert line.endswith("(to fix it, run: pyramid scrape)")


@pytest.mark.parametrize("name", ["00000.tar", "00000.parquet"])
def test_half_a_pair_is_damage(raw, caplog, name):
    for file in ("00000.tar", "00000.parquet"):
        shutil.copy(raw / file, raw / file.replace("0.", "1."))
    (raw / name).unlink()
    assert any(line.startswith(f"{name}: missing beside") for line in damages(raw, caplog))


def test_a_tar_and_a_table_that_do_not_belong_together_are_damage(raw, caplog):
    samples = [(key, {"png": picture(9)}) for key in ("a1", "z9")]
    tars.write_tar(raw / "00000.tar", samples)
    text = "\n".join(damages(raw, caplog))
    assert "z9.png: is in no row of 00000.parquet" in text
    assert "b2.png: " in text


def test_an_unreadable_table_is_damage(raw, caplog):
    (raw / "00000.parquet").write_bytes(b"PAR1 no PAR1")
    assert any("00000.parquet: cannot be read" in line for line in damages(raw, caplog))


# latents


def test_a_flipped_byte_in_latents_is_found(encoded, caplog):
    flip(encoded / "train-000000.safetensors", -3)
    (line,) = damages(encoded, caplog)
    assert line.endswith("(to fix it, run: pyramid latents)")


def test_latents_of_other_shapes_or_twice_the_same_key_are_damage(encoded, caplog):
    pyramid = (torch.ones(2, 3, 1, 1), torch.ones(2, 1, 2, 5))
    listed = latent_file.write_shard(encoded / "train-000000.safetensors", ["a1", "a1"], pyramid)
    facts = {"level_shapes": [[3, 1, 1], [1, 2, 4]]}
    manifest.Manifest({"train": [listed]}, facts).save(encoded)
    lines = damages(encoded, caplog)
    assert any("(2, 1, 2, 5)" in line for line in lines)
    assert any("a1: is already in train-000000.safetensors" in line for line in lines)


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        (["cat", "dog"], "b2: has the class 'dog', which is not listed"),
        (["cat"], "has 1 classes for 2 keys"),
    ],
)
def test_classes_that_the_manifest_does_not_know_are_damage(encoded, caplog, classes, line):
    rewritten(encoded, classes)
    (found,) = damages(encoded, caplog)
    assert line in found


def test_known_and_missing_classes_are_not_damage(encoded):
    rewritten(encoded, ["cat", None])
    assert "2 latents" in verify([encoded])


def rewritten(encoded, classes):
    pyramid = (torch.ones(2, 3, 1, 1), torch.ones(2, 1, 2, 4))
    shard = encoded / "train-000000.safetensors"
    listed = latent_file.write_shard(shard, ["a1", "b2"], pyramid, classes)
    facts = {"level_shapes": [[3, 1, 1], [1, 2, 4]], "classes": ["cat"]}
    manifest.Manifest({"train": [listed]}, facts).save(encoded)


def test_latents_of_other_shards_are_a_warning(encoded, shards, caplog):
    record = json.loads((encoded / manifest.FILE_NAME).read_text())
    record["facts"]["shards_sha256"] = "0" * 64
    (encoded / manifest.FILE_NAME).write_text(json.dumps(record))
    assert verify([encoded])
    assert "made from another version" in caplog.text
