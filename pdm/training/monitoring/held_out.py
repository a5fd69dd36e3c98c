"""Measures an autoencoder during training: latent statistics, PSNR, and a sheet of reconstructions.

All functions take an image size at which a batch fits in memory, and a model in evaluation mode.
"""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor

from pdm.data.pixels import to_images, to_pixels
from pdm.data.shards.images import ImageShards
from pdm.data.sheets import contact_sheet
from pdm.models.codec import Autoencoder

BATCH_SIZE = 16
SHEET_IMAGES = 4
SCORED_IMAGES = 16  # after each checkpoint; enough to rank checkpoints


@torch.no_grad()
def psnr_by_prefix(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> list[float]:
    """Mean PSNR in dB over the pictures, decoded from the coarsest level, the two coarsest, ..."""
    scores: list[list[Tensor]] = [[] for _ in model.level_channels]
    for images in image_batches(model, shards, size):
        for index, decoded in enumerate(_prefixes(model, images)):
            scores[index].append(psnr(decoded, images))
    return [float(torch.cat(score).mean()) for score in scores]


@torch.no_grad()
def held_out_psnr(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> float:
    """Mean PSNR in dB of the first `SCORED_IMAGES` pictures, decoded from all levels."""
    images = to_images(shards.batch(range(min(SCORED_IMAGES, len(shards))), *size))
    images = images.to(_device(model))
    return float(psnr(model.decode_raw(model.posterior(images)[0], size), images).mean())


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratios (B,) in dB of images in [-1, 1]; `prediction` is clipped to that
    range."""
    error = (prediction.clamp(-1, 1) - target).square().mean(dim=(1, 2, 3))
    return 10 * (4 / error.clamp(min=1e-12)).log10().cpu()


@torch.no_grad()
def reconstruction_sheet(
    model: Autoencoder, shards: ImageShards, size: tuple[int, int]
) -> Image.Image:
    """Draw a few pictures in the first row, and their reconstructions from more and more levels
    below."""
    chosen = range(min(SHEET_IMAGES, len(shards)))
    images = to_images(shards.batch(chosen, *size)).to(_device(model))
    rows = [images, *_prefixes(model, images)]
    return contact_sheet([list(to_pixels(row)) for row in rows])


def _prefixes(model: Autoencoder, images: Tensor) -> list[Tensor]:
    means, _ = model.posterior(images)
    size = (images.shape[2], images.shape[3])
    return [model.decode_raw(means[: count + 1], size) for count in range(len(means))]


def image_batches(
    model: Autoencoder, shards: ImageShards, size: tuple[int, int]
) -> Iterator[Tensor]:
    """All pictures of a split in batches (B, 3, H, W), in [-1, 1] and on the model's device."""
    for start in range(0, len(shards), BATCH_SIZE):
        indices = range(start, min(start + BATCH_SIZE, len(shards)))
        yield to_images(shards.batch(indices, *size)).to(_device(model))


def _device(model: Autoencoder) -> torch.device:
    return next(model.parameters()).device
