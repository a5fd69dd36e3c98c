"""A rival in place of the pyramid goes through the same stages: train, encode, diffuse, sample."""

import json

import pytest
from PIL import Image
from tiny_chain import SAMPLE, train_chain

from pdm.baselines.autoencoders import load_autoencoder
from pdm.config.first_stage import FirstStageConfig
from pdm.data.latents import LatentShards
from pdm.inference.sample import sample_pictures


@pytest.mark.parametrize(("name", "weight"), [("kl-f4", 1.0e-6), ("vq-f4", 1.0)])
def test_a_first_stage_of_ldm_goes_the_whole_way(name, weight, tmp_path):
    baseline = FirstStageConfig(name=name, base_width=8, latent_weight=weight)
    chain = train_chain(tmp_path, baseline)
    assert LatentShards(chain.latents, "train").level_shapes == ((3, 4, 8),)
    model = load_autoencoder(chain.autoencoder)
    assert model.config == baseline
    record = json.loads((chain.autoencoder / "config.json").read_text())
    assert len(record["val_psnr_by_levels"]) == 1
    samples = tmp_path / "samples"
    sample_pictures(
        SAMPLE,
        autoencoder=chain.autoencoder,
        diffusion=chain.diffusion,
        shards=chain.shards,
        samples=samples,
    )
    assert Image.open(samples / "000004.png").size == (32, 16)
    assert Image.open(samples / "full-size" / "decoded.png").size == (128, 64)
