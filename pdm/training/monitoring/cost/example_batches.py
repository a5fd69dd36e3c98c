"""Batches with the shapes of a training's, and no values, to count and predict what a step takes.

They are on the meta device, unless another mode of torch decides (`FakeTensorMode`).
"""

import torch

from pdm.config.networks.condition import ConditionConfig
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.condition import empty_condition
from pdm.models.levels.pyramid import LevelShape
from pdm.models.regions import Region, Span, random_region
from pdm.training.loop.prefetch import Batch
from pdm.training.objectives.equivariance import factors_that_fit
from pdm.training.objectives.losses import MAX_CROP_PX, Plan
from pdm.training.objectives.timesteps import TimeDistribution

META = torch.device("meta")
LAST_IMAGE = 2**62  # late enough for a discriminator to have started


def autoencoder_batch(
    config: AutoencoderConfig,
    model: Autoencoder,
    count: int,
    device: torch.device = META,
) -> Batch:
    """Return inputs of `AutoencoderLosses` for `count` images, for a step that has all losses."""
    height, width = config.image_height_px, config.image_width_px
    level_shapes = model.level_shapes(height, width)
    images = torch.empty(count, 3, height, width, device=device)
    noise = tuple(torch.empty(count, *shape, device=device) for shape in level_shapes)
    side = config.crop_px
    region = side and Region(Span(0, side), Span(0, side), height, width)
    decoded = (side, side) if side else (height, width)
    crop = random_region(decoded, MAX_CROP_PX, torch.Generator())
    # Of the random choices those that cost most: the largest prefix, and the least downscaling.
    levels = max(1, len(level_shapes) - 1)
    factor = min(factors_that_fit((height, width), model.level_downsamplings) or (1,))
    return images, noise, Plan(levels, factor, LAST_IMAGE, region or None, crop)


def diffusion_batch(
    config: DiffusionConfig,
    level_shapes: tuple[LevelShape, ...],
    count: int,
    device: torch.device = META,
    sizes: ConditionConfig | None = None,
) -> Batch:
    """Return inputs of `FlowLosses` for `count` latents of these shapes, and a condition of these
    sizes (`Denoiser.condition_sizes`)."""
    layout = torch.channels_last
    data, noise = (
        tuple(
            torch.empty(count, *shape, device=device, memory_format=layout)
            for shape in level_shapes
        )
        for _ in range(2)
    )
    one = TimeDistribution.of(config).draw(torch.Generator())
    times, weights = (torch.empty(count, *one.shape, device=device) for _ in range(2))
    left = torch.empty(count, device=device)
    condition = empty_condition(sizes, level_shapes, count, device)
    return data, noise, times, weights, left, condition


def num_images(batch: Batch) -> int:
    """Return the number of images of a batch, the size of its first tensor."""
    first = batch[0]
    return len(first[0] if isinstance(first, tuple) else first)
