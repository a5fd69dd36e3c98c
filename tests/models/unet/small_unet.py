"""A pyramid UNet of four levels, small enough for tests, and latents for it."""

import dataclasses

import torch
from shared import tiny_pyramid

from pdm.models.levels.pyramid import level_shapes
from pdm.models.unet import PyramidUNet

CONFIG = dataclasses.replace(
    tiny_pyramid.UNET,
    widths=(8, 12, 16),
    blocks=(2, 1, 2),
    output_stream=True,
    attention_from=16,
    dropout=(0.0, 0.1, 0.2),
)
CHANNELS = (6, 5, 4, 3)
DOWNSAMPLINGS = ("global", 16, 8, 4)


def network(**changes) -> PyramidUNet:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, **changes)
    return PyramidUNet(config, CHANNELS, DOWNSAMPLINGS).eval()


def awake(unet: PyramidUNet) -> PyramidUNet:
    """As after some training: no parameter is zero any more."""
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


def pyramid(height: int = 64, width: int = 128, count: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shapes = level_shapes(CHANNELS, DOWNSAMPLINGS, height, width)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in shapes)


TIMES = torch.tensor([0.2, 0.9])
WINDOWS = ((0.0, 0.7), (0.1, 0.8), (0.2, 0.9), (0.3, 1.0))
