"""Trains one autoencoder for some processor time or number of crops, and scores it."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.designs import crops
from benchmarks.designs.crops import Crops
from benchmarks.designs.first_stages import SIDE_PX, build, config_of
from benchmarks.parts.training import in_memory
from benchmarks.parts.training.in_memory import ENDLESS, Clock, CropsInMemory
from benchmarks.shared.networks import count_parameters
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.evaluation.reconstruction import psnr, ssim
from pdm.models.base_autoencoder import Autoencoder
from pdm.training.autoencoder import build_losses, discriminator_training, ema_model
from pdm.training.distributed.workers import Workers
from pdm.training.latent_space.measure import measure_latents
from pdm.training.loop.state import TrainState
from pdm.training.objectives.pixel_losses import gradient_loss
from pdm.training.picture_dataset import PictureDataset


def train_design(job: dict[str, Any], pixels: Pixels) -> tuple[Autoencoder, Clock, int]:
    """The EMA of the model, in evaluation mode; its clock; images seen."""
    config = config_of(job["design"], job["seed"], job["learning_rate"], job["images"] or ENDLESS)
    return train_autoencoder(config, pixels, job["seconds"])


def train_autoencoder(
    config: AutoencoderConfig, pixels: Pixels, seconds: float | None
) -> tuple[Autoencoder, Clock, int]:
    """Train for processor seconds, or as many images as the config says if there are none."""
    torch.manual_seed(config.training.seed)
    model = build(config)
    losses = build_losses(model, config, torch.device("cpu"))
    state = TrainState(model, config.training, discriminator_training(losses))
    pictures = PictureDataset(CropsInMemory(pixels), config, model)
    clock = in_memory.trained(state, losses, pictures, config.training, seconds)
    return ema_model(state), clock, state.images_seen


def measured(model: Autoencoder, data: Crops) -> Autoencoder:
    """The model, once its statistics of latents are measured, as the stage does it."""
    training, held_out = CropsInMemory(data.train), CropsInMemory(data.held_out)
    measure_latents(model, training, held_out, (SIDE_PX, SIDE_PX), Workers(torch.device("cpu")))
    return model


@torch.no_grad()
def scores(model: Autoencoder, pixels: Pixels) -> list[dict[str, float]]:
    """Mean PSNR (dB), SSIM and gradient error over the pictures, by prefix of the levels."""
    sums: list[dict[str, float]] = []
    for start in range(0, len(pixels), 32):
        images = to_images(pixels[start : start + 32])
        means, _ = model.posterior(images)
        size = (images.shape[2], images.shape[3])
        for count in range(1, len(means) + 1):
            found = model.decode_raw(means[:count], size).clamp(-1, 1)
            if len(sums) < count:
                sums.append(dict.fromkeys(("psnr_db", "ssim", "gradient_error"), 0.0))
            for name, values in _measure(found, images).items():
                sums[count - 1][name] += float(values.sum()) / len(pixels)
    return [{name: round(value, 4) for name, value in prefix.items()} for prefix in sums]


def _measure(found: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    errors = [gradient_loss(a[None], b[None]) for a, b in zip(found, wanted, strict=True)]
    return {
        "psnr_db": psnr(found, wanted, 2.0),
        "ssim": ssim(found, wanted, 2.0),
        "gradient_error": torch.stack(errors),
    }


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    data = crops.load(Path(job["crops"]))
    pixels = np.concatenate([source.train for source in data.values()])
    model, clock, images_seen = train_design(job, pixels)
    kept = {name: job[name] for name in ("design", "seed", "seconds", "images", "learning_rate")}
    found = {
        **kept,
        "images_seen": images_seen,
        "parameters": count_parameters(model),
        "latent_values": sum(c * h * w for c, h, w in model.level_shapes(SIDE_PX, SIDE_PX)),
        "curve": clock.curve[-1:],
        "scores": {name: scores(model, source.held_out) for name, source in data.items()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
