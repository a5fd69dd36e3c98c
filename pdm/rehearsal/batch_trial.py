"""Takes two optimizer steps with a micro-batch of a given size, to see whether it fits.

    python -m pdm.rehearsal.batch_trial STAGE PARAMS NUM_IMAGES

The batch has the shapes of a real one, and random values. Only the second step finds the
optimizer's moments in memory, as the steps of a training do.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdm import params
from pdm.config import Params
from pdm.config.training.loop import TrainingConfig
from pdm.curation.scrape.drawing.boxes import NAMES
from pdm.curation.scrape.drawing.kinds import KINDS
from pdm.curation.scrape.drawing.scene import LANDS
from pdm.data.annotations import boxes, classes, maps
from pdm.machine.device import choose_device
from pdm.machine.heap import keep_freed_memory
from pdm.models.condition import Condition
from pdm.registry import build_autoencoder, build_denoiser, level_shapes_of
from pdm.training.loop.activation_checkpointing import checkpoint_activations
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.state import TrainState
from pdm.training.loop.updates.optimizer import DiscriminatorTraining
from pdm.training.monitoring.cost.example_batches import autoencoder_batch, diffusion_batch
from pdm.training.monitoring.cost.footprint import (
    Footprint,
    autoencoder_footprint,
    diffusion_footprint,
)
from pdm.training.objectives.adversarial import build_adversary
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses
from pdm.training.objectives.perceptual import load_perceptual

CPU = torch.device("cpu")
# Of data whose classes, maps and boxes are those of the built-in landscapes.
FACTS = {
    classes.FACT: sorted(LANDS),
    maps.FACT: KINDS,
    boxes.FACT: {"classes": sorted(NAMES), "crop": boxes.WHOLE},
}


def footprint(stage: str, config: Params, micro_batch_size: int) -> Footprint:
    """Predict what a training takes with micro-batches of this size."""
    if stage == "autoencoder":
        return autoencoder_footprint(config.autoencoder, micro_batch_size)
    return diffusion_footprint(
        config.diffusion, *level_shapes_of(config.autoencoder), micro_batch_size, FACTS
    )


def take_steps(stage: str, config: Params, micro_batch_size: int) -> None:
    """Take two steps, on the GPU if there is one."""
    keep_freed_memory()
    device = choose_device()
    training = getattr(config, stage).training
    losses, model, discriminator, batch = _build(stage, config, micro_batch_size, device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(model, training, discriminator)
    if training.checkpoint_activations:
        checkpoint_activations(model)
    state.model.train()
    for _ in range(2):
        _step(losses, batch, state, training, device)


def _step(
    losses: nn.Module,
    batch: Batch,
    state: TrainState,
    training: TrainingConfig,
    device: torch.device,
) -> None:
    state.iterate_spectral_norms()
    with autocast(training, device):
        loss = losses(*batch)["loss"]
    if not training.checkpoint_activations:
        state.release_divided_weights()
    loss.backward()
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.update_ema(training.ema_half_life_images, training.batch_size)


def _build(
    stage: str, config: Params, micro_batch_size: int, device: torch.device
) -> tuple[nn.Module, nn.Module, DiscriminatorTraining | None, Batch]:
    if stage == "diffusion":
        shapes, downsamplings = level_shapes_of(config.autoencoder)
        channels = tuple(shape[0] for shape in shapes)
        denoiser = build_denoiser(config.diffusion, channels, downsamplings, FACTS).to(device)
        losses = FlowLosses(denoiser, config.diffusion.level_loss_weights)
        sizes = denoiser.condition_sizes
        batch = diffusion_batch(config.diffusion, shapes, micro_batch_size, device, sizes)
        return losses, denoiser, None, _fill(batch)
    section = config.autoencoder
    model = build_autoencoder(section).to(device)
    perceptual = load_perceptual(section.perceptual, device) if section.perceptual else None
    adversary = build_adversary(section, perceptual)
    discriminator = None
    if adversary is not None:
        adversary.to(device)
        settings = adversary.config
        discriminator = DiscriminatorTraining(adversary, settings.learning_rate, 0)
    batch = autoencoder_batch(section, model, micro_batch_size, device)
    wrapped = AutoencoderLosses(model, section, perceptual, adversary)
    return wrapped, model, discriminator, _fill(batch)


def _fill(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.dtype == torch.long else value.uniform_()
    if isinstance(value, Condition):
        return value.change(_fill)
    return tuple(map(_fill, value)) if isinstance(value, tuple) else value


if __name__ == "__main__":
    take_steps(sys.argv[1], params.load(Path(sys.argv[2])), int(sys.argv[3]))
