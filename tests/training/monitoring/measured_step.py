"""Measures the resident memory of a training's steps in a process of its own:

python measured_step.py STAGE KEY=VALUE ... prints the bytes that two steps take at their peak, with
a checkpoint after each.
"""

import dataclasses
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch

from pdm import params
from pdm.models.condition import NO_CONDITION
from pdm.models.levels.pyramid import level_shapes
from pdm.params.override import override
from pdm.registry import build_autoencoder, build_denoiser
from pdm.training.autoencoder import discriminator_training
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.distillation.stage import distillation_config
from pdm.training.distillation.student import build_losses
from pdm.training.distributed.workers import Workers
from pdm.training.loop.prefetch import move_batch
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.cost.example_batches import autoencoder_batch, diffusion_batch
from pdm.training.objectives.adversarial import build_adversary
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses
from pdm.training.objectives.perceptual import load_perceptual

CPU = torch.device("cpu")


def levels_of(config):
    levels = config.autoencoder.model.levels
    downsamplings = tuple(level.downsampling for level in levels)
    sides = config.autoencoder.image_height_px, config.autoencoder.image_width_px
    return level_shapes([level.channels for level in levels], downsamplings, *sides), downsamplings


def load(assignments):
    from pdm.params.keys import DEFAULT

    text, _ = override(DEFAULT.read_text(), assignments)
    return params.parse(text, Path("params.yaml"))


class Run:
    def __init__(self, folder):
        self.checkpoints = Checkpoints(folder, keep=1)

    def log(self, metrics, images_seen):
        pass

    def save(self, state):
        self.checkpoints.begin(state)

    def score(self, state):
        pass

    def lacks_score(self, images_seen):
        return False

    def flush(self):
        self.checkpoints.flush()

    def save_failed(self):
        return False

    def newest(self):
        return "none"

    def stop_requested(self):
        return False


class Data:
    """Batches of noise with the shapes of a training's."""

    def __init__(self, batch):
        self.batch = batch

    def load(self, positions):
        return fill(move_batch(self.batch, CPU))

    def keys(self, positions):
        return []


def fill(value):
    if isinstance(value, torch.Tensor):
        return value if value.dtype == torch.long else torch.rand(value.shape)
    return tuple(map(fill, value)) if isinstance(value, tuple) else value


def measure(stage, config):
    section = getattr(config, "diffusion" if stage == "distillation" else stage)
    if stage == "distillation":
        section = distillation_config(section)
    shapes, downsamplings = levels_of(config)
    count = section.training.micro_batch_size(section.training.num_workers)
    process = psutil.Process()
    torch.ones(256, 256) @ torch.ones(256, 256)
    perceptual = None
    if stage == "autoencoder" and section.perceptual:
        perceptual = load_perceptual(section.perceptual, CPU)
    before = process.memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    if stage == "autoencoder":
        model = build_autoencoder(section).to(memory_format=torch.channels_last)
        losses = AutoencoderLosses(model, section, perceptual, build_adversary(section, perceptual))
        batch = autoencoder_batch(section, model, count, CPU)
    elif stage == "distillation":
        teacher = build_denoiser(section, [shape[0] for shape in shapes], downsamplings)
        losses = build_losses(section, teacher, CPU)
        model = losses.model
        batch = tuple(torch.empty(count, *shape) for shape in shapes), NO_CONDITION
    else:
        channels = [shape[0] for shape in shapes]
        model = build_denoiser(section, channels, downsamplings)
        model.to(memory_format=torch.channels_last)
        losses = FlowLosses(model, section.level_loss_weights)
        batch = diffusion_batch(section, shapes, count, CPU)
    discriminator = discriminator_training(losses) if stage == "autoencoder" else None
    state = TrainState(model, section.training, discriminator)
    length = section.training.batch_size
    training = dataclasses.replace(
        section.training, total_images=2 * length, log_every_images=length, save_every_images=length
    )
    with TemporaryDirectory() as folder:
        train(state, losses, Data(batch), training, Run(Path(folder)), Workers(CPU))
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    return int(peak) * 1024 - before


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(f"{measure(sys.argv[1], load(sys.argv[2:]))}\n")
