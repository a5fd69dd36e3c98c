from dataclasses import replace
from pathlib import Path

import pytest
import torch
from enlarging import open_models
from shared.folders import make_once
from tiny_chain import DIFFUSION, LATENTS

from pdm.config.task import SuperResolutionTask
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers


@pytest.fixture(scope="module")
def loaded(chain, tmp_path_factory):
    """A pyramid with a global level and maps at 8 and 4 pixels, each with its own times."""
    folder = tmp_path_factory.mktemp("models")
    return open_models(folder, chain.autoencoder, chain.diffusion)


@pytest.fixture(scope="module")
def ldm(ldm_by_noise, tmp_path_factory):
    """A single latent at 4 pixels, and a network that predicts noise."""
    folder = tmp_path_factory.mktemp("ldm") / "models"
    return open_models(folder, ldm_by_noise.autoencoder, ldm_by_noise.diffusion, sampler="ddim")


@pytest.fixture(scope="module")
def super_resolution(chain, tmp_path_factory):
    """Trained to enlarge 4 times, at 32x16."""

    def make(folder: Path) -> None:
        latents = folder / "latents"
        config = replace(LATENTS, keep_pictures=True)
        encode_shards(config, shards=chain.shards, autoencoder=chain.autoencoder, latents=latents)
        task = SuperResolutionTask(kind="super_resolution", factor=4, degradation="bicubic")
        settings = diffusion.Settings(
            replace(DIFFUSION, task=task, condition_dropout=0.0, score_images=2),
            *(ReferenceDistance, latents, folder / "run", folder / "diffusion", chain.autoencoder),
        )
        diffusion.train_on_worker(settings, Workers(torch.device("cpu")))

    made = make_once(tmp_path_factory, "super-resolution", make)
    models = tmp_path_factory.mktemp("super") / "models"
    return open_models(models, chain.autoencoder, made / "diffusion")
