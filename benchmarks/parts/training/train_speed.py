"""Trains a default model for some steps in this process, with all cores, and prints images/s.

    python benchmarks/parts/training/train_speed.py autoencoder|diffusion

The data are random and in memory, of the default run's sizes. Called by
benchmarks/parts/training/speedup.py.
"""

import os
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch  # before the package of benchmarks, which leaves libraries one thread
from torch import nn

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from benchmarks.parts.training.default_training import RandomLatents, fresh_state
from benchmarks.parts.training.in_memory import Clock, CropsInMemory
from benchmarks.shared.networks import to_channels_last
from pdm import params
from pdm.params.keys import DEFAULT
from pdm.registry import build_autoencoder
from pdm.training.distributed.workers import Workers
from pdm.training.loop.interfaces import Data
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.objectives.losses import AutoencoderLosses
from pdm.training.picture_dataset import PictureDataset

LOG_STEPS, NUM_LOGS, WARMUP_LOGS = 4, 5, 2  # of the logged intervals the first ones do not count


class Speeds(Clock):
    """A run that keeps the speed of each logged interval."""

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        self.curve.append((images_seen, metrics["images_per_second"]))


def parts(model: str) -> tuple[TrainState, nn.Module, Data]:
    """State, losses and data of a default training."""
    torch.manual_seed(0)
    if model == "diffusion":
        latents = RandomLatents()
        return *fresh_state(latents), latents
    config = params.load(DEFAULT).autoencoder
    network = to_channels_last(build_autoencoder(config))
    shape = (64, config.image_height_px, config.image_width_px, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = PictureDataset(CropsInMemory(pixels), config, network)
    losses = AutoencoderLosses(network, config, None, None)
    return TrainState(network, config.training), losses, data


def main() -> None:
    model = sys.argv[1]
    torch.set_num_threads(os.cpu_count() or 1)
    state, losses, data = parts(model)
    config = params.load(DEFAULT)
    training = config.diffusion.training if model == "diffusion" else config.autoencoder.training
    batch = training.batch_size
    total = LOG_STEPS * NUM_LOGS * batch
    training = replace(
        training, total_images=total, log_every_images=LOG_STEPS * batch, save_every_images=total
    )
    run = Speeds(float("inf"))
    train(state, losses, data, training, run, Workers(torch.device("cpu")))
    print(statistics.median(speed for _, speed in run.curve[WARMUP_LOGS:]))


if __name__ == "__main__":
    main()
