"""The default run's UNet and its training, on random latents of the default run's shapes."""

from pathlib import Path

import torch

from pdm import params
from pdm.config.training.loop import TrainingConfig
from pdm.models.levels.pyramid import level_shapes
from pdm.models.unet import PyramidUNet
from pdm.presets import DEFAULT
from pdm.training.loop.seeds import normal_pyramid_at, uniform_at
from pdm.training.loop.state import TrainState
from pdm.training.objectives.losses import FlowLosses


class RandomLatents:
    """Data for `pdm.training.loop.train.train`."""

    def __init__(self) -> None:
        config = params.load(Path(DEFAULT)).autoencoder
        levels = config.model.levels
        self.channels = tuple(level.channels for level in levels)
        self.downsamplings = tuple(level.downsampling for level in levels)
        size = (config.image_height_px, config.image_width_px)
        self.shapes = level_shapes(self.channels, self.downsamplings, *size)

    def load(self, positions):
        data, noise = (
            normal_pyramid_at(0, positions, name, self.shapes) for name in ("data", "noise")
        )
        ones = torch.ones(len(positions))
        return data, noise, uniform_at(0, positions, "time"), ones, ones

    def keys(self, positions):
        return []


def default_config() -> TrainingConfig:
    return params.load(Path(DEFAULT)).diffusion.training


def fresh_state(data: RandomLatents) -> tuple[TrainState, FlowLosses]:
    """The state, and the network of its losses."""
    config = params.load(Path(DEFAULT)).diffusion
    torch.manual_seed(0)
    model = PyramidUNet(config.model, data.channels, data.downsamplings)
    model.to(memory_format=torch.channels_last)
    return TrainState(model, config.training), FlowLosses(model, config.level_loss_weights)
