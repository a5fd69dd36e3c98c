"""How well an autoencoder under training gives pictures back: statistics, PSNR, and a sheet to see.

All work on an image size at which a batch fits in memory, with the model in evaluation mode.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from pdm.data.pixels import to_images, to_pixels
from pdm.data.shards.images import ImageShards
from pdm.data.sheets import contact_sheet
from pdm.models.codec import Autoencoder
from pdm.models.pyramid import Pyramid
from pdm.training.monitoring.redundancy import redundancies

BATCH_SIZE = 16
SHEET_IMAGES = 4
SCORED_IMAGES = 16  # after each checkpoint; enough to tell the better of two
REDUNDANCY_BATCHES = 16  # of training pictures and of held-out ones
SMALLEST_STD = 1.0e-6  # of a channel that the training left unused


@torch.no_grad()
def latent_statistics(
    model: Autoencoder, shards: ImageShards, size: tuple[int, int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard deviation of every channel of every level, each (C,), on the CPU.

    Args:
        model: Its latents are taken as they come, not standardised.
        shards: All of their pictures count.
        size: (H, W) in pixels.
    """
    totals = [torch.zeros(2, channels, dtype=torch.float64) for channels in model.level_channels]
    counts = [0 for _ in model.level_channels]
    for images in _batches(model, shards, size):
        for level, values in enumerate(model.posterior(images)[0]):
            values = values.double().cpu()
            totals[level] += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
            counts[level] += values[:, 0].numel()
    moments = [total / count for total, count in zip(totals, counts, strict=True)]
    stds = [
        (second - first.square()).clamp(min=SMALLEST_STD**2).sqrt() for first, second in moments
    ]
    return [first.float() for first, _ in moments], [std.float() for std in stds]


@torch.no_grad()
def psnr_by_prefix(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> list[float]:
    """Mean PSNR in dB over the pictures, decoded from the coarsest level, the coarsest two, ..."""
    scores: list[list[Tensor]] = [[] for _ in model.level_channels]
    for images in _batches(model, shards, size):
        for index, decoded in enumerate(_prefixes(model, images)):
            scores[index].append(psnr(decoded, images))
    return [float(torch.cat(score).mean()) for score in scores]


@torch.no_grad()
def redundancy_by_level(
    model: Autoencoder, training: ImageShards, held_out: ImageShards, size: tuple[int, int]
) -> list[float]:
    """Share of each level's variance that the coarser levels explain; see `redundancies`.

    The first `REDUNDANCY_BATCHES` batches of each of the two splits count.
    """

    def latents(shards: ImageShards) -> Iterator[Pyramid]:
        for images in islice(_batches(model, shards, size), REDUNDANCY_BATCHES):
            yield tuple(level.float().cpu() for level in model.encode(images))

    return redundancies(latents(training), latents(held_out))


@torch.no_grad()
def held_out_psnr(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> float:
    """Mean PSNR in dB of the first `SCORED_IMAGES` pictures, decoded from all levels."""
    images = to_images(shards.batch(range(min(SCORED_IMAGES, len(shards))), *size))
    images = images.to(_device(model))
    return float(psnr(model.decode_raw(model.posterior(images)[0], size), images).mean())


def psnr(found: Tensor, wanted: Tensor) -> Tensor:
    """(B,) peak signal-to-noise ratios in dB of images in [-1, 1], found clipped to it."""
    error = (found.clamp(-1, 1) - wanted).square().mean(dim=(1, 2, 3))
    return 10 * (4 / error.clamp(min=1e-12)).log10().cpu()


@torch.no_grad()
def reconstruction_sheet(
    model: Autoencoder, shards: ImageShards, size: tuple[int, int]
) -> Image.Image:
    """A few pictures in the first row; below, each decoded from ever more levels."""
    chosen = range(min(SHEET_IMAGES, len(shards)))
    images = to_images(shards.batch(chosen, *size)).to(_device(model))
    rows = [images, *_prefixes(model, images)]
    return contact_sheet([list(to_pixels(row)) for row in rows])


def _prefixes(model: Autoencoder, images: Tensor) -> list[Tensor]:
    means, _ = model.posterior(images)
    size = (images.shape[2], images.shape[3])
    return [model.decode_raw(means[: count + 1], size) for count in range(len(means))]


def _batches(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> Iterator[Tensor]:
    for start in range(0, len(shards), BATCH_SIZE):
        indices = range(start, min(start + BATCH_SIZE, len(shards)))
        yield to_images(shards.batch(indices, *size)).to(_device(model))


def _device(model: Autoencoder) -> torch.device:
    return next(model.parameters()).device
