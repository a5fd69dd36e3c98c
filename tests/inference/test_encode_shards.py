import json
from dataclasses import replace

import pytest
import torch
from tiny_chain import LATENTS

from pdm.data.pixels import to_images
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of
from pdm.inference.encode import LatentStatistics, encode_shards
from pdm.models.autoencoder import PyramidAutoencoder


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
    spread.add((good, good * std))
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
