"""A rival in place of the pyramid goes through the same stages: train, encode, diffuse, sample."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import (
    BY_NOISE,
    BY_VELOCITY,
    DIFFUSION,
    LATENTS,
    SAMPLE,
    sample_from,
    train_autoencoder,
    write_shards,
)

from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.task import InpaintingTask
from pdm.data.shards.latents import LatentShards
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.inference.pictures.inpaint import inpaint
from pdm.inference.pictures.loaded_models import load_models
from pdm.registry import load_autoencoder
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers


@pytest.mark.parametrize(
    ("which", "first_stage", "sampler"),
    [
        ("ldm_by_noise", BY_NOISE[0], "ddim"),
        ("ldm_by_velocity", BY_VELOCITY[0], "multistep"),
    ],
)
def test_ldm_goes_the_whole_way(which, first_stage, sampler, request, tmp_path):
    chain = request.getfixturevalue(which)
    assert LatentShards(chain.latents, "train").level_shapes == ((3, 8, 16),)
    model = load_autoencoder(chain.autoencoder)
    assert model.config == first_stage
    spreads = model.std_0.unique()
    assert (len(spreads) == 1) == (first_stage.latent_scale == "scalar")
    record = json.loads((chain.autoencoder / "config.json").read_text())
    assert len(record["val_psnr_by_levels"]) == 1
    samples = tmp_path / "samples"
    sample_from(chain, replace(SAMPLE, sampler=sampler, eta=1.0), samples)
    assert Image.open(samples / "000004.png").size == (64, 32)
    assert Image.open(samples / "full-size" / "decoded.png").size == (128, 64)

    wide = replace(SAMPLE, sampler=sampler, eta=1.0, steps=2, size=(560, 128))
    sample_from(chain, replace(wide, num_images=1, full_size_picture=False), tmp_path / "wide")
    assert Image.open(tmp_path / "wide" / "000000.png").size == (560, 128)


def test_ldms_network_of_a_task_goes_the_whole_way_to_a_users_picture(tmp_path):
    """Trained for inpainting, with the masked latent and the mask beside the noisy latent."""
    shards = write_shards(tmp_path / "shards")
    _, first_stage = train_autoencoder(tmp_path / "autoencoder", shards, baseline=BY_NOISE[0])
    latents = tmp_path / "latents"
    keeping = replace(LATENTS, keep_pictures=True)
    encode_shards(keeping, shards=shards, autoencoder=first_stage, latents=latents)
    config = replace(
        DIFFUSION,
        level_loss_weights=(1.0,),
        model=None,
        baseline=LatentUNetConfig(name="inpainting_big", base_width=32, predicts="noise"),
        timesteps="ldm",
        task=InpaintingTask(
            kind="inpainting", mask_shapes=("circle",), min_share=0.1, max_share=0.3
        ),
        score_images=0,
        training=replace(DIFFUSION.training, total_images=8, save_every_images=8),
    )
    models = tmp_path / "models"
    settings = diffusion.Settings(
        config, ReferenceDistance, latents, tmp_path / "run", models / "diffusion", first_stage
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    (models / "autoencoder").symlink_to(first_stage)
    loaded = load_models(models, replace(SAMPLE, sampler="ddim"))
    assert loaded.networks.network.network.config.in_channels == 7
    picture = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    mask = np.zeros((40, 70), bool)
    mask[10:20, 30:50] = True
    [filled] = inpaint(loaded, picture, mask, [0])
    assert (filled[~mask] == picture[~mask]).all()
    assert (filled[mask] != picture[mask]).any()
