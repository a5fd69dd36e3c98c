"""Losses of the EMA on held-out latents, with the same noise and times every time."""

import math
from collections.abc import Callable

import torch

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.shards.latents import LatentShards
from pdm.models.denoiser import Denoiser
from pdm.training.distributed.workers import Workers
from pdm.training.latent_dataset import LatentDataset
from pdm.training.loop.prefetch import move_batch
from pdm.training.objectives.losses import FlowLosses

HELD_OUT_IMAGES = 256  # maximum number scored after each checkpoint
HELD_OUT_BATCH = 16  # of these at once, whatever the number of workers


@torch.no_grad()
def held_out_losses(
    ema: Denoiser, data: LatentDataset, config: DiffusionConfig, workers: Workers
) -> dict[str, float]:
    """Compute the losses of the EMA on held-out latents, with the same noise and times every
    time. The workers share them."""
    network = FlowLosses(ema, config.level_loss_weights)
    count = min(len(data.shards), HELD_OUT_IMAGES)

    def measure(start: int) -> list[float]:
        positions = range(start, min(start + HELD_OUT_BATCH, count))
        losses = network(*move_batch(data.load(positions), workers.device))
        means = [losses["loss"].item(), *losses["loss_level"].tolist()]
        return [mean * len(positions) / count for mean in means]

    parts = workers.map(measure, range(0, count, HELD_OUT_BATCH))
    loss, *by_level = (math.fsum(values) for values in zip(*parts, strict=True))
    levels = {f"val_loss_level_{level}": value for level, value in enumerate(by_level)}
    return {"val_loss": loss} | levels


def losses_by_bucket(
    ema: Denoiser,
    held_out: LatentShards,
    make_dataset: Callable[[LatentShards], LatentDataset],
    config: DiffusionConfig,
    workers: Workers,
) -> dict[str, float]:
    """Compute the losses on held-out latents: their mean over all pictures, and, if there are
    several sizes, `val_loss_bucket_512x384` of each."""
    num_buckets = len(held_out.buckets)
    found = [
        held_out_losses(ema, make_dataset(held_out.only(place)), config, workers)
        for place in range(num_buckets)
    ]
    if num_buckets == 1:
        return found[0]
    shares = [len(numbers) / len(held_out) for numbers in held_out.bucket_ranges]
    means = {
        name: math.fsum(share * losses[name] for share, losses in zip(shares, found, strict=True))
        for name in found[0]
    }
    return means | {
        f"val_loss_bucket_{bucket.name}": losses["val_loss"]
        for bucket, losses in zip(held_out.buckets, found, strict=True)
    }
