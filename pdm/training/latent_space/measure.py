"""What the stage `autoencoder` measures of its model's latents once the training is over."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pdm.data.shards.images import ImageShards
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.codec import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.training.distributed.workers import Workers
from pdm.training.latent_space.predictions import fit_predictions
from pdm.training.latent_space.redundancy import redundancies
from pdm.training.monitoring.held_out import Size, first_batches, image_batches, load_images

FITTED_IMAGES = 256  # enough for linear maps, and few enough to be kept in memory
MEASURED_IMAGES = 10_000  # for means and deviations of channels, which more would not change
SMALLEST_STD = 1.0e-6  # of a channel that the training left unused


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
        training: Predictions are fitted on its first `FITTED_IMAGES` pictures, statistics on the
            first `MEASURED_IMAGES`.
        held_out: For the redundancy.
        size: (H, W) in pixels.

    Returns:
        The redundancy of each level, coarse to fine, on held-out pictures; see `redundancies`.
    """
    if isinstance(model, PyramidAutoencoder) and model.config.residual_levels:
        raw = [_on_cpu(model.posterior(images)[0]) for images in _first(model, training, size)]
        model.set_predictions(fit_predictions(raw))
    model.set_statistics(*latent_statistics(model, training, size, workers))
    return redundancies(
        *(
            (_on_cpu(model.encode(images)) for images in _first(model, shards, size))
            for shards in (training, held_out)
        )
    )


@torch.no_grad()
def latent_statistics(
    model: Autoencoder, shards: ImageShards, size: Size, workers: Workers
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and standard deviation of every channel of every level, each (C,), on the CPU.

    Every worker must call this.

    Args:
        model: Its latents are taken less their predictions, not standardised.
        shards: Their first `MEASURED_IMAGES` pictures count.
        size: (H, W) in pixels.
    """

    def sums(batch: range) -> list[Tensor]:
        """Of each level: number, sums and sums of squares of each channel's values, (3, C)."""
        means, _ = model.posterior(load_images(model, shards, batch, size))
        return [_sums(level) for level in model.subtract_predictions(means)]

    parts = workers.map(sums, first_batches(shards, MEASURED_IMAGES, size))
    totals = [torch.stack(level).sum(0) for level in zip(*parts, strict=True)]
    moments = [total[1:] / total[0] for total in totals]
    stds = [
        (second - first.square()).clamp(min=SMALLEST_STD**2).sqrt() for first, second in moments
    ]
    return [first.float() for first, _ in moments], [std.float() for std in stds]


def _sums(level: Tensor) -> Tensor:
    values = level.double().cpu()
    count = torch.full_like(values[0, :, 0, 0], values[:, 0].numel())
    return torch.stack([count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])


def _first(model: Autoencoder, shards: ImageShards, size: Size) -> Iterator[Tensor]:
    return image_batches(model, shards, size, FITTED_IMAGES)


def _on_cpu(pyramid: Pyramid) -> Pyramid:
    return tuple(level.float().cpu() for level in pyramid)
