"""The default run's UNet and its training, on random latents of the default run's shapes."""

import torch

from benchmarks.shared.networks import to_channels_last
from pdm import params
from pdm.config.training.loop import TrainingConfig
from pdm.params.keys import DEFAULT
from pdm.registry import build_denoiser, level_shapes_of
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import normal_pyramid_at, uniform_at
from pdm.training.loop.state import TrainState
from pdm.training.objectives.losses import FlowLosses


class RandomLatents:
    """Data for `pdm.training.loop.train.train`."""

    def __init__(self) -> None:
        self.shapes, self.downsamplings = level_shapes_of(params.load(DEFAULT).autoencoder)
        self.channels = tuple(channels for channels, _, _ in self.shapes)

    def load(self, positions: range) -> Batch:
        data, noise = (
            normal_pyramid_at(0, positions, name, self.shapes) for name in ("data", "noise")
        )
        ones = torch.ones(len(positions))
        return data, noise, uniform_at(0, positions, "time"), ones, ones

    def keys(self, positions: range) -> list[str]:
        return []


def default_config() -> TrainingConfig:
    return params.load(DEFAULT).diffusion.training


def fresh_state(data: RandomLatents) -> tuple[TrainState, FlowLosses]:
    """The state, and the network of its losses."""
    config = params.load(DEFAULT).diffusion
    torch.manual_seed(0)
    model = to_channels_last(build_denoiser(config, data.channels, data.downsamplings))
    return TrainState(model, config.training), FlowLosses(model, config.level_loss_weights)
