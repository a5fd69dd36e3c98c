"""A pyramid autoencoder of four levels, small enough for tests, and pictures for it."""

import dataclasses

import torch
from shared import tiny_pyramid

from pdm.config.networks.autoencoder_model import LevelConfig
from pdm.models.autoencoder import PyramidAutoencoder

CONFIG = dataclasses.replace(
    tiny_pyramid.AUTOENCODER,
    levels=(
        LevelConfig(downsampling="global", channels=6, kl_weight=1e-6),
        LevelConfig(downsampling=16, channels=5, kl_weight=1e-6),
        LevelConfig(downsampling=8, channels=4, kl_weight=1e-6),
        LevelConfig(downsampling=4, channels=3, kl_weight=1e-6),
    ),
    encoder_widths=(4, 4, 8, 8, 12),
    decoder_widths=(4, 4, 8, 8, 12),
    decoder_blocks=2,
    attention_from=16,
    encoder_dropout=(0.0, 0.0, 0.0, 0.1, 0.2),
    decoder_dropout=(0.0, 0.0, 0.0, 0.0, 0.1),
)


def model(**changes) -> PyramidAutoencoder:
    torch.manual_seed(0)
    return PyramidAutoencoder(dataclasses.replace(CONFIG, **changes)).eval()


def images(height: int = 32, width: int = 64, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, height, width, generator=generator) * 2 - 1


def deterministic(*chosen: int) -> PyramidAutoencoder:
    """With no KL on these levels."""
    return model(
        levels=tuple(
            dataclasses.replace(level, kl_weight=0.0) if index in chosen else level
            for index, level in enumerate(CONFIG.levels)
        )
    )
