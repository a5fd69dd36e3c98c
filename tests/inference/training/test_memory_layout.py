"""Whether maps stay in channels_last layout on the way through a training step, so that no layer
has to copy them first."""

from dataclasses import replace

import pytest
import torch
from tiny_chain import AUTOENCODER, DIFFUSION
from torch.utils._python_dispatch import TorchDispatchMode

from pdm.registry import build_autoencoder, build_denoiser
from pdm.training.monitoring.cost.example_batches import autoencoder_batch, diffusion_batch
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses

CPU = torch.device("cpu")
SHAPES, DOWNSAMPLINGS = ((6, 1, 1), (4, 2, 4), (3, 4, 8)), ("global", 8, 4)
CONVOLUTIONS = ("convolution.default", "convolution_backward.default")
MIN_CHANNELS = 8  # of a network's features; pictures and latents have fewer
COARSEST = (2, 4)  # the gradient of the mean over a map has no layout


class Layouts(TorchDispatchMode):
    """Collects the maps that convolutions get in another layout, and counts all."""

    def __init__(self):
        super().__init__()
        self.total, self.copied = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.__name__ in CONVOLUTIONS:
            num_maps = func.__name__.count("backward") + 1  # the gradient, and the input
            for features in args[:num_maps]:
                self.total += 1
                if features.shape[1] < MIN_CHANNELS or features.shape[2:] == COARSEST:
                    continue
                if not features.is_contiguous(memory_format=torch.channels_last):
                    self.copied.append((func.__name__, tuple(features.shape), features.stride()))
        return func(*args, **(kwargs or {}))


def layouts_of_step(losses, batch):
    losses.to(memory_format=torch.channels_last).train()
    with Layouts() as layouts:
        losses(*batch)["loss"].backward()
    return layouts


@pytest.mark.parametrize("norm", ["group", "pixel"])
def test_maps_of_the_autoencoder_stay_in_channels_last(norm):
    config = replace(AUTOENCODER, model=replace(AUTOENCODER.model, norm=norm))
    model = build_autoencoder(config)
    losses = AutoencoderLosses(model, config, None, None)
    layouts = layouts_of_step(losses, autoencoder_batch(config, model, 2, CPU))
    assert layouts.total > 50
    assert layouts.copied == []


def test_maps_of_the_unet_stay_in_channels_last():
    model = build_denoiser(DIFFUSION, tuple(shape[0] for shape in SHAPES), DOWNSAMPLINGS)
    losses = FlowLosses(model, DIFFUSION.level_loss_weights)
    layouts = layouts_of_step(losses, diffusion_batch(DIFFUSION, SHAPES, 2, CPU))
    assert layouts.total > 50
    assert layouts.copied == []
