"""How long a training is interrupted when one of its workers is killed.

Two workers on two nodes of a local Ray cluster; the second kills itself in the middle of a step.
From there to the first batch after the resume, in the process that took its place.
"""

import dataclasses
import os
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from ray import cloudpickle
from ray.cluster_utils import Cluster
from torch import Tensor, nn

from benchmarks.parts.training.default_training import default_config
from benchmarks.shared.ratios import Ratio
from pdm.config.training.loop import TrainingConfig
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.distributed.ray_launcher import launch
from pdm.training.distributed.workers import Workers
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import normal_pyramid_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train


@dataclass(frozen=True)
class Size:
    rounds: int


FULL = Size(rounds=3)
QUICK = Size(rounds=1)


@dataclass(frozen=True)
class Settings:
    folder: Path


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 1)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.layer(x) - y).square().mean()}


class PointsUntilDeath:
    """Points by position. Asked for the first one after half of them, the second worker kills its
    process and writes down when; the worker in its place writes down when it is first asked."""

    def __init__(self, folder: Path, rank: int, half: int) -> None:
        self.folder, self.rank, self.half = folder, rank, half

    def load(self, positions: range) -> Batch:
        killed, back = self.folder / "killed", self.folder / "back"
        if self.rank == 1 and killed.exists() and not back.exists():
            back.write_text(str(time.time()))
        if self.rank == 1 and self.half <= positions.start and not killed.exists():
            killed.write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)
        (x,) = normal_pyramid_at(0, positions, "x", [(8, 1, 1)])
        return x[:, :, 0, 0], x.sum(dim=1)[:, :, 0]

    def keys(self, positions: range) -> list[str]:
        return []


def short_config() -> TrainingConfig:
    return dataclasses.replace(
        default_config(),
        num_workers=2,
        total_images=640,
        log_every_images=160,
        save_every_images=160,
    )


def train_until_killed(settings: Settings, workers: Workers) -> None:
    config = short_config()
    torch.manual_seed(0)
    network = Regression()
    state = TrainState(network, config)
    restore_newest(state, checkpoints_of(settings.folder, config), workers)
    seen = state.images_seen
    run = RunFolder(settings.folder, "recovery", config, workers, seen, lambda *_: 0.0)
    data = PointsUntilDeath(settings.folder, workers.rank, config.total_images // 2)
    train(state, workers.wrap(network, config), data, config, run, workers)


def measure(size: Size, folder: Path) -> list[Ratio]:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    seconds = []
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        for number in range(size.rounds):
            run = folder / str(number)
            launch(train_until_killed, Settings(run), num_workers=2, run=run)
            killed, back = (float((run / name).read_text()) for name in ("killed", "back"))
            seconds.append(back - killed)
    finally:
        del os.environ["RAY_ADDRESS"]
        cluster.shutdown()
    return [
        Ratio(
            "recovery_seconds",
            "seconds from the death of a worker to the first batch after the resume",
            statistics.median(seconds),
            None,
            "s",
            tuple(seconds),
            "",
            "Two workers on two nodes of a local cluster; Ray starts both processes anew.",
        )
    ]
