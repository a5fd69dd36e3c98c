"""A rival in place of the pyramid goes through the same stages: train, encode, diffuse, sample."""

import json
from dataclasses import replace

import pytest
from PIL import Image
from tiny_chain import SAMPLE, train_chain

from pdm.config.first_stage import FirstStageConfig
from pdm.config.latent_unet import LatentUNetConfig
from pdm.data.shards.latents import LatentShards
from pdm.inference.sample import sample_pictures
from pdm.registry import load_autoencoder


@pytest.mark.parametrize(
    ("name", "weight", "predicts", "sampler", "scale"),
    [
        ("kl-f4", 1.0e-6, "noise", "ddim", "scalar"),
        ("vq-f4", 1.0, "velocity", "multistep", "channel"),
    ],
)
def test_ldm_goes_the_whole_way(name, weight, predicts, sampler, scale, tmp_path):
    baseline = FirstStageConfig(name=name, base_width=8, latent_weight=weight, latent_scale=scale)
    unet = LatentUNetConfig(name="celeba", base_width=32, predicts=predicts)
    chain = train_chain(tmp_path, baseline, unet)
    assert LatentShards(chain.latents, "train").level_shapes == ((3, 8, 16),)
    model = load_autoencoder(chain.autoencoder)
    assert model.config == baseline
    spreads = model.std_0.unique()
    assert (len(spreads) == 1) == (scale == "scalar")
    record = json.loads((chain.autoencoder / "config.json").read_text())
    assert len(record["val_psnr_by_levels"]) == 1
    samples = tmp_path / "samples"
    sample_pictures(
        replace(SAMPLE, sampler=sampler, eta=1.0),
        autoencoder=chain.autoencoder,
        diffusion=chain.diffusion,
        shards=chain.shards,
        samples=samples,
    )
    assert Image.open(samples / "000004.png").size == (64, 32)
    assert Image.open(samples / "full-size" / "decoded.png").size == (128, 64)
