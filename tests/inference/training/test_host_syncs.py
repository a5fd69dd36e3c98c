"""A training step must not make the host wait for the device: the queue of a GPU would run dry."""

import itertools
from dataclasses import replace

import pytest
import torch
from test_versions import AUTOENCODERS, UNETS
from tiny_chain import AUTOENCODER, DIFFUSION
from torch.utils._python_dispatch import TorchDispatchMode

from pdm.config.stages.autoencoder import (
    AdversarialConfig,
    AutoencoderConfig,
    PerceptualConfig,
)
from pdm.models.levels.pyramid import level_shapes
from pdm.registry import build_autoencoder, build_denoiser
from pdm.training.autoencoder import build_losses, discriminator_training
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.steps import Steps
from pdm.training.monitoring.cost.example_batches import autoencoder_batch, diffusion_batch
from pdm.training.objectives.losses import FlowLosses

aten = torch.ops.aten
CPU = Workers(torch.device("cpu"))
WAITS = {
    aten._local_scalar_dense,  # .item(), float(), bool(), int()
    aten.is_nonzero,
    aten.nonzero,
    aten.masked_select,
    aten.equal,
    aten.unique_consecutive,
    aten._unique2,
    aten.repeat_interleave,  # where the length of its result is not given
    aten.lift_fresh,  # torch.tensor of Python numbers
}


class HostSyncs(TorchDispatchMode):
    """Collects operations that would wait for a GPU, or copy Python numbers to it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masks = func.overloadpacket in (aten.index, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if func.overloadpacket in WAITS or masks:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x[0].item(),
        lambda x: bool(x.any()),
        lambda x: x.tolist() and float(x[0]),
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: x.new_tensor([1.0, 2.0]),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
    ],
)
def test_what_waits_for_the_device_is_noticed(wait):
    with HostSyncs() as syncs:
        wait(torch.ones(2))
    assert syncs.found


def steps_of(config, losses, state, batch) -> Steps:
    training = replace(config.training, batch_size=4, accumulation=2, total_images=64)
    batches = zip(
        (range(start, start + 2) for start in itertools.count(0, 2)),
        itertools.repeat(batch),
        strict=False,
    )

    class Run:
        def stop_requested(self):
            return False

        def save_failed(self):
            return False

    class Data:
        def keys(self, positions):
            return []

    return Steps(state, losses, Data(), batches, training, Run(), CPU)


def autoencoder_steps(config: AutoencoderConfig) -> Steps:
    torch.manual_seed(0)
    model = build_autoencoder(config)
    losses = build_losses(model, config, CPU.device)
    state = TrainState(model, config.training, discriminator_training(losses))
    images, noise, plan = autoencoder_batch(config, model, 2, CPU.device)
    filled = torch.rand_like(images), tuple(torch.randn_like(level) for level in noise)
    return steps_of(config, losses, state, (*filled, plan))


def diffusion_steps(config) -> Steps:
    torch.manual_seed(0)
    channels, downsamplings = (6, 4, 3), ("global", 8, 4)
    model = build_denoiser(config, channels, downsamplings)
    state = TrainState(model, config.training)
    batch = diffusion_batch(config, level_shapes(channels, downsamplings, 16, 32), 2, CPU.device)
    data, noise, times, weights, left, _ = batch
    levels = (tuple(torch.randn_like(level) for level in part) for part in (data, noise))
    numbers = (torch.rand_like(times), torch.ones_like(weights), torch.ones_like(left))
    return steps_of(
        config, FlowLosses(model, config.level_loss_weights), state, (*levels, *numbers)
    )


PROJECTED = replace(
    AUTOENCODER,
    perceptual=PerceptualConfig(network="efficientnet-lite0", weight=1.0),
    adversarial=AdversarialConfig(
        kind="projected", start_images=0, weight=0.1, width=4, learning_rate=1e-3
    ),
)
TRAININGS = {
    "autoencoder": lambda: autoencoder_steps(AUTOENCODER),
    "autoencoder with a discriminator": lambda: autoencoder_steps(AUTOENCODERS["adversarial"]),
    "autoencoder with a projected discriminator": lambda: autoencoder_steps(PROJECTED),
    "diffusion": lambda: diffusion_steps(DIFFUSION),
    "diffusion with a filter": lambda: diffusion_steps(UNETS["uniform"]),
    "diffusion in bfloat16": lambda: diffusion_steps(
        replace(DIFFUSION, training=replace(DIFFUSION.training, precision="bfloat16"))
    ),
    "diffusion by Muon": lambda: diffusion_steps(
        replace(DIFFUSION, training=replace(DIFFUSION.training, optimizer="muon"))
    ),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_step_never_waits_for_the_device(name):
    steps = TRAININGS[name]()
    steps.advance()
    with HostSyncs() as syncs:
        steps.advance()
        steps.advance()
    assert syncs.found == []
