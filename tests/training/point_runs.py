"""Trainings of the tiny regression on points, with checkpoints in a run's folder."""

from pathlib import Path

import torch
from points import CONFIG, Points, Regression

from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

CPU = Workers(torch.device("cpu"))


def fresh(config=CONFIG) -> TrainState:
    torch.manual_seed(0)
    return TrainState(Regression(), config)


def trained(folder: Path, workers: Workers = CPU, config=CONFIG, data=None) -> TrainState:
    """Train on, or from the start."""
    state = fresh(config)
    restore_newest(state, checkpoints_of(folder, config), workers)
    run = RunFolder(folder, "points", config, workers, state.images_seen, lambda *_: 0.0)
    train(state, workers.wrap(state.model, config), data or Points(), config, run, workers)
    return state


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("0*"))
