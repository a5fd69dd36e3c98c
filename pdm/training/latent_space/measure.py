"""What the stage `autoencoder` measures of its model's latents once the training is over."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from pdm.data.shards.images import ImageShards
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.codec import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.training.latent_space.predictions import fit_predictions
from pdm.training.latent_space.redundancy import redundancies
from pdm.training.monitoring.held_out import image_batches

FITTED_BATCHES = 16  # enough for linear maps, and few enough to be kept in memory
SMALLEST_STD = 1.0e-6  # of a channel that the training left unused


@torch.no_grad()
def measure_latents(
    model: Autoencoder, training: ImageShards, held_out: ImageShards, size: tuple[int, int]
) -> list[float]:
    """Set what `encode` needs besides the weights: predictions of levels, mean and deviation.

    Args:
        model: Trained, in evaluation mode.
        training: Predictions are fitted on its first `FITTED_BATCHES` batches, statistics on all.
        held_out: For the redundancy.
        size: (H, W) in pixels.

    Returns:
        The redundancy of each level, coarse to fine, on held-out pictures; see `redundancies`.
    """
    if isinstance(model, PyramidAutoencoder) and model.config.residual_levels:
        raw = [_on_cpu(model.posterior(images)[0]) for images in _first(model, training, size)]
        model.set_predictions(fit_predictions(raw))
    model.set_statistics(*latent_statistics(model, training, size))
    return redundancies(
        *(
            (_on_cpu(model.encode(images)) for images in _first(model, shards, size))
            for shards in (training, held_out)
        )
    )


@torch.no_grad()
def latent_statistics(
    model: Autoencoder, shards: ImageShards, size: tuple[int, int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard deviation of every channel of every level, each (C,), on the CPU.

    Args:
        model: Its latents are taken less their predictions, not standardised.
        shards: All of their pictures count.
        size: (H, W) in pixels.
    """
    totals = [torch.zeros(2, channels, dtype=torch.float64) for channels in model.level_channels]
    counts = [0 for _ in model.level_channels]
    for images in image_batches(model, shards, size):
        residuals = model.subtract_predictions(model.posterior(images)[0])
        for level, values in enumerate(residuals):
            values = values.double().cpu()
            totals[level] += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
            counts[level] += values[:, 0].numel()
    moments = [total / count for total, count in zip(totals, counts, strict=True)]
    stds = [
        (second - first.square()).clamp(min=SMALLEST_STD**2).sqrt() for first, second in moments
    ]
    return [first.float() for first, _ in moments], [std.float() for std in stds]


def _first(model: Autoencoder, shards: ImageShards, size: tuple[int, int]) -> Iterator[Tensor]:
    return islice(image_batches(model, shards, size), FITTED_BATCHES)


def _on_cpu(pyramid: Pyramid) -> Pyramid:
    return tuple(level.float().cpu() for level in pyramid)
