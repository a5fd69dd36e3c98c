"""Trains a tiny flow of a task on shards that a test wrote."""

from pathlib import Path

import torch
from tiny_chain import LATENTS

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.shards.latents import LatentShards
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.tasks.find import check_task
from pdm.training import diffusion
from pdm.training.distributed.workers import Workers


def train_task(config: DiffusionConfig, autoencoder: Path, folder: Path) -> Path:
    """Encode `folder/shards`, train, and return the folder, with latents and models in it."""
    latents = folder / "latents"
    encode_shards(LATENTS, shards=folder / "shards", autoencoder=autoencoder, latents=latents)
    settings = diffusion.Settings(
        config,
        ReferenceDistance,
        latents,
        folder / "run",
        folder / "models/diffusion",
        autoencoder,
    )
    check_task(config, LatentShards(latents, "train"))
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    (folder / "models/autoencoder").symlink_to(autoencoder)
    return folder
