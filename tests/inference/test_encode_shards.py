import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_chain import LATENTS

from pdm.data.image_tensors import to_images
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards, parts
from pdm.inference.encode.parts import sums_of
from pdm.inference.encode.statistics import LatentStatistics
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.parallel.part_folder import PartFolder


def test_every_training_picture_is_encoded_as_it_is_and_mirrored(chain):
    latents = LatentShards(chain.latents, "train")
    images = ImageShards(chain.shards, "train")
    assert len(latents) == 2 * len(images)
    model = PyramidAutoencoder.from_pretrained(chain.autoencoder)
    for index, key in enumerate(images.keys):
        pixels = to_images(images.load(index, 16, 32)[None])
        for suffix, picture in (("", pixels), ("-mirrored", pixels.flip(3))):
            found = latents.batch([latents.keys.index(key + suffix)])
            with torch.no_grad():
                expected = model.encode(picture)
            for a, b in zip(found, expected, strict=True):
                torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_held_out_pictures_are_not_mirrored(chain):
    assert LatentShards(chain.latents, "val").keys == ImageShards(chain.shards, "val").keys


def test_the_manifest_names_what_they_were_made_from(chain):
    facts = manifest.load(chain.latents).facts
    assert facts["autoencoder_sha256"] == sha256_of(chain.autoencoder / "model.safetensors")
    assert facts["shards_sha256"] == manifest.digest(chain.shards)
    assert facts["level_downsamplings"] == ["global", 8, 4]
    assert all(0.5 < std < 2 for std in facts["level_stds"])


def test_a_second_run_writes_the_same_bytes(chain, tmp_path):
    encode_shards(
        LATENTS, shards=chain.shards, autoencoder=chain.autoencoder, latents=tmp_path / "again"
    )
    assert manifest.digest(tmp_path / "again") == manifest.digest(chain.latents)


def test_a_worker_reads_the_pictures_of_its_parts_only_and_keeps_none(chain, tmp_path):
    splits = parts.open_splits(chain.shards)
    task = parts.EncodeTask(
        config=LATENTS,
        shards=chain.shards,
        autoencoder=chain.autoencoder,
        folder=PartFolder(tmp_path / "files", tmp_path / "records"),
        size=(16, 32),
        with_classes=False,
        with_captions=False,
        with_boxes=False,
    )
    [*_, last] = parts.parts_of({"train": splits["train"]}).values()
    read = np.concatenate(list(parts._read_ahead(splits, [last], task)))
    assert len(read) == len(last.indices) < len(splits["train"])
    assert np.array_equal(read[0], splits["train"].load(last.indices[0], 16, 32))
    assert not splits["train"]._reduced


def test_without_copies_each_picture_stands_once(chain, tmp_path):
    config = replace(LATENTS, flipped_copies=False)
    encode_shards(
        config, shards=chain.shards, autoencoder=chain.autoencoder, latents=tmp_path / "once"
    )
    assert LatentShards(tmp_path / "once", "train").keys == ImageShards(chain.shards, "train").keys


@pytest.mark.parametrize("std", [0.3, 3.0, float("nan")])
def test_latents_far_from_standardised_stop_the_stage(std):
    spread = LatentStatistics(2)
    good = torch.randn(100, 4, 1, 1)
    spread.add_sums(torch.stack([sums_of(level) for level in (good, good * std)]))
    with pytest.raises(QualityGate, match="level 1 have a standard deviation"):
        spread.check()


def test_a_gate_that_fails_publishes_nothing(chain, tmp_path):
    model = PyramidAutoencoder.from_pretrained(chain.autoencoder)
    model.set_statistics(
        [torch.zeros(c) for c in model.level_channels],
        [torch.full((c,), 100.0) for c in model.level_channels],
    )
    facts = json.loads((chain.autoencoder / "config.json").read_text())
    names = ("image_height_px", "image_width_px")
    model.save_pretrained(tmp_path / "model", **{name: facts[name] for name in names})
    with pytest.raises(QualityGate):
        encode_shards(
            LATENTS, shards=chain.shards, autoencoder=tmp_path / "model", latents=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_model_is_bad_input(chain, tmp_path):
    with pytest.raises(BadInput, match="nowhere"):
        encode_shards(
            LATENTS, shards=chain.shards, autoencoder=tmp_path / "nowhere", latents=tmp_path / "out"
        )


# Encodes in a process of its own, which kills itself while it writes the second of three shards.
KILLED = """
import os, pickle, signal, sys
import torch
from pdm.inference.encode import parts
from pdm.inference.encode import encode_shards

torch.set_num_threads(int(sys.argv[2]))
config, folders = pickle.loads(bytes.fromhex(sys.argv[1]))
write = parts.write_shard

def write_or_die(path, *rest):
    if path.name == "train-000001.safetensors":
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *rest)

parts.write_shard = write_or_die
encode_shards(config, **folders)
"""


def killed_in_the_second_shard(chain, folder, config=LATENTS):
    folders = {"shards": chain.shards, "autoencoder": chain.autoencoder, "latents": folder}
    task = pickle.dumps((config, folders)).hex()
    words = [sys.executable, "-c", KILLED, task, str(torch.get_num_threads())]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert not folder.exists()
    (record,) = folder.parent.glob(".part-*/records/*.json")
    assert record.name == "train-000000.json"


def test_after_a_kill_the_missing_shards_are_encoded_with_the_bytes_of_an_unbroken_run(
    chain, tmp_path, caplog
):
    folder = tmp_path / "latents"
    killed_in_the_second_shard(chain, folder)
    caplog.set_level("INFO")
    encode_shards(LATENTS, shards=chain.shards, autoencoder=chain.autoencoder, latents=folder)
    assert "continuing where an earlier run stopped: 6 latents are there" in caplog.text
    assert {file.name for file in folder.iterdir()} == {f.name for f in chain.latents.iterdir()}
    for file in chain.latents.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]


def test_shards_encoded_with_other_params_are_not_continued(chain, tmp_path, caplog):
    folder = tmp_path / "latents"
    killed_in_the_second_shard(chain, folder, replace(LATENTS, flipped_copies=False))
    caplog.set_level("INFO")
    encode_shards(LATENTS, shards=chain.shards, autoencoder=chain.autoencoder, latents=folder)
    assert "continuing" not in caplog.text
    assert manifest.digest(folder) == manifest.digest(chain.latents)


@pytest.mark.parametrize(("storage", "error"), [("float16", 2**-10), ("bfloat16", 2**-7)])
def test_latents_of_16_bits_take_half_the_space_and_are_read_as_float32(
    chain, tmp_path, storage, error
):
    encode_shards(
        replace(LATENTS, storage=storage),
        shards=chain.shards,
        autoencoder=chain.autoencoder,
        latents=tmp_path / "small",
    )
    small, large = (LatentShards(folder, "train") for folder in (tmp_path / "small", chain.latents))
    assert small.keys == large.keys
    every = range(len(small))
    for found, expected in zip(small.batch(every), large.batch(every), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=error, atol=1e-6)
    facts = [manifest.load(folder).facts for folder in (tmp_path / "small", chain.latents)]
    assert facts[0]["storage"] == storage
    assert "storage" not in facts[1]  # the manifest of float32 is that of earlier versions
    name = "train-000000.safetensors"
    sizes = [(folder / name).stat().st_size for folder in (tmp_path / "small", chain.latents)]
    values = 2 * 3 * sum(level[0].numel() for level in large.batch([0]))
    assert sizes[1] - sizes[0] >= 1.9 * values


def test_each_picture_is_decoded_once_for_itself_and_its_mirrored_copy(
    chain, tmp_path, monkeypatch
):
    loaded, load = [], ImageShards.load

    def count(shards, index, height, width):
        loaded.append((shards.split, index))
        return load(shards, index, height, width)

    monkeypatch.setattr(ImageShards, "load", count)
    encode_shards(
        LATENTS, shards=chain.shards, autoencoder=chain.autoencoder, latents=tmp_path / "latents"
    )
    assert sorted(loaded) == sorted(
        (split, index) for split, count in (("train", 5), ("val", 2)) for index in range(count)
    )


def test_latents_that_are_not_finite_stop_the_stage_at_their_shard(chain, tmp_path):
    model = PyramidAutoencoder.from_pretrained(chain.autoencoder)
    model.set_statistics(
        [torch.full((c,), float("nan")) for c in model.level_channels],
        [torch.ones(c) for c in model.level_channels],
    )
    facts = json.loads((chain.autoencoder / "config.json").read_text())
    names = ("image_height_px", "image_width_px")
    model.save_pretrained(tmp_path / "model", **{name: facts[name] for name in names})
    with pytest.raises(QualityGate, match="not finite"):
        encode_shards(
            LATENTS, shards=chain.shards, autoencoder=tmp_path / "model", latents=tmp_path / "out"
        )
