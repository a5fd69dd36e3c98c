"""A pyramid UNet of four levels, small enough for tests, and latents for it."""

import dataclasses

import torch

from pdm.config.networks.unet import UNetConfig
from pdm.models.levels.pyramid import level_shapes
from pdm.models.unet import PyramidUNet

CONFIG = UNetConfig(
    widths=(8, 12, 16),
    blocks=(2, 1, 2),
    embedding_width=32,
    branches=True,
    windows=None,
    level_times=None,
    time_embedding="joint",
    predicts=None,
    input_stream=True,
    output_stream=True,
    resampling="box",
    attention_from=16,
    cross_attention_from=None,
    attention_ratio="shape",
    dropout=(0.0, 0.1, 0.2),
    dropout_falls=False,
    spectral_norm=True,
    condition=None,
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
