"""What the stage `autoencoder` measures of its model's latents once the training is over."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from pdm.data.shards.images import ImageShards
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.training.distributed.workers import Workers
from pdm.training.latent_space.predictions import fit_predictions
from pdm.training.latent_space.redundancy import redundancies
from pdm.training.monitoring.held_out import (
    Size,
    batches_by_bucket,
    load_images,
    proportional_numbers,
)

# Buckets count by their share of the data: training meets each picture equally often, whatever its
# shape, so this is the mean and deviation of what the diffusion model learns from.
FITTED_IMAGES = 256  # enough for linear maps, and few enough to be kept in memory
MEASURED_IMAGES = 10_000  # for means and deviations of channels, which more would not change
CPU = torch.device("cpu")
Batch = tuple[int, ...]  # numbers of pictures
MIN_STD = 1.0e-6  # of a channel that the training left unused


@torch.no_grad()
def measure_latents(
    model: Autoencoder,
    training: ImageShards,
    held_out: ImageShards,
    size: Size,
    workers: Workers,
) -> list[float]:
    """Set what `encode` needs besides the weights: predictions of levels, mean and deviation.

    Every worker must call this. They share the pictures of the statistics.

    Args:
        model: Trained, in evaluation mode.
        training: Predictions are fitted on about `FITTED_IMAGES` of its pictures, statistics on
            `MEASURED_IMAGES`; of each bucket the first ones, by its share of the pictures.
        held_out: For the redundancy.
        size: (H, W) in pixels.

    Returns:
        The redundancy of each level, coarse to fine, on held-out pictures; see `redundancies`.
    """
    fitted = _encode_first(model, training, size, workers)
    if isinstance(model, PyramidAutoencoder) and model.config.residual_levels:
        model.set_predictions(fit_predictions(list(fitted.values())))
    model.set_statistics(*latent_statistics(model, training, size, workers, fitted))
    tested = _encode_first(model, held_out, size, workers)
    return redundancies(*(_standardise(model, part) for part in (fitted.values(), tested.values())))


@torch.no_grad()
def latent_statistics(
    model: Autoencoder,
    shards: ImageShards,
    size: Size,
    workers: Workers,
    encoded: Mapping[Batch, Pyramid] = MappingProxyType({}),
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard deviation of every channel of every level, each (C,), on the CPU.

    Every worker must call this.

    Args:
        model: Its latents are taken less their predictions, not standardised.
        shards: About `MEASURED_IMAGES` of their pictures count, as for `measure_latents`.
        size: (H, W) in pixels.
        encoded: Raw latents of some of them, by batch, where these are known.
    """

    def sums(means: Pyramid) -> list[Tensor]:
        """Of each level: number, sums and sums of squares of each channel's values, (3, C)."""
        return [_sums(level) for level in model.subtract_predictions(means)]

    device = next(model.parameters()).device
    known = {number for batch in encoded for number in batch}
    chosen = proportional_numbers(shards, MEASURED_IMAGES)
    rest = [number for number in chosen if number not in known]
    parts = [sums(_to(device, means)) for means in encoded.values()] + workers.map(
        lambda batch: sums(model.posterior(load_images(model, shards, batch, size))[0]),
        batches_by_bucket(shards, rest, size),
    )
    totals = [torch.stack(level).sum(0) for level in zip(*parts, strict=True)]
    moments = [total[1:] / total[0] for total in totals]
    stds = [(second - first.square()).clamp(min=MIN_STD**2).sqrt() for first, second in moments]
    return [first.float() for first, _ in moments], [std.float() for std in stds]


def _encode_first(
    model: Autoencoder, shards: ImageShards, size: Size, workers: Workers
) -> dict[Batch, Pyramid]:
    """Raw latents of about `FITTED_IMAGES` pictures by batch, on the CPU; on all workers."""
    batches = batches_by_bucket(shards, proportional_numbers(shards, FITTED_IMAGES), size)
    found = workers.map(
        lambda batch: _to(CPU, model.posterior(load_images(model, shards, batch, size))[0]), batches
    )
    return dict(zip(map(tuple, batches), found, strict=True))


def _standardise(model: Autoencoder, encoded: Iterable[Pyramid]) -> Iterator[Pyramid]:
    """Raw latents as `encode` gives them."""
    device = next(model.parameters()).device
    return (_to(CPU, model.standardise(_to(device, means))) for means in encoded)


def _sums(level: Tensor) -> Tensor:
    values = level.double().cpu()
    count = torch.full_like(values[0, :, 0, 0], values[:, 0].numel())
    return torch.stack([count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])


def _to(device: torch.device, pyramid: Pyramid) -> Pyramid:
    return tuple(level.float().to(device) for level in pyramid)
