"""The launcher on a real local Ray, with work that trains nothing."""

import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from ray import cloudpickle
from safetensors.torch import load_file
from torch import nn

from pdm.cluster import ray_session
from pdm.config.common import TrainingConfig
from pdm.errors import QualityGate, Unavailable
from pdm.training import launcher
from pdm.training.launcher import launch
from pdm.training.loop import train
from pdm.training.runs import RunFolder
from pdm.training.seeds import normal_pyramid_at
from pdm.training.state import TrainState
from pdm.training.workers import Workers

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


CONFIG = TrainingConfig(
    num_workers=2,
    batch_size=8,
    accumulation=2,
    total_images=32,
    learning_rate=0.1,
    warmup_images=0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    ema_half_life_images=8,
    precision="float32",
    log_every_images=8,
    save_every_images=16,
    keep_checkpoints=2,
    seed=0,
)


@pytest.fixture(scope="module", autouse=True)
def ray():
    with ray_session(num_cpus=2):
        yield


@dataclass
class Settings:
    folder: Path


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x, y):
        return {"loss": (self.layer(x) - y).square().mean()}


class Points:
    def load(self, positions):
        (x,) = normal_pyramid_at(0, positions, "x", [(3, 1, 1)])
        return x[:, :, 0, 0], x.sum(dim=1)[:, :, 0]

    def keys(self, positions):
        return [f"point{position}" for position in positions]


def train_on_points(settings: Settings, workers: Workers) -> None:
    torch.manual_seed(workers.rank)  # the first one's weights must win
    network = Regression()
    state = TrainState(network, CONFIG)
    run = RunFolder(settings.folder, "points", CONFIG, workers, 0, lambda state, events: None)
    (settings.folder / f"{workers.rank}").write_text(f"{torch.get_num_threads()}")
    train(state, workers.wrap(network), Points(), CONFIG, run, workers)
    if workers.rank == 1:
        (settings.folder / "second").write_text(json.dumps(network.layer.weight.tolist()))


def test_two_workers_share_the_cores_and_train_like_one(tmp_path):
    folders = [tmp_path / "two", tmp_path / "one"]
    launch(train_on_points, Settings(folders[0]), num_workers=2, run=folders[0])
    assert [(folders[0] / name).read_text() for name in "01"] == ["1", "1"]
    folders[1].mkdir()
    train_on_points(Settings(folders[1]), Workers(torch.device("cpu")))
    two, one = (load_file(f / "checkpoints/000000032/model.safetensors") for f in folders)
    torch.testing.assert_close(two, one)
    second = torch.tensor(json.loads((folders[0] / "second").read_text()))
    assert torch.equal(second, two["layer.weight"])


def test_more_workers_than_cores_is_said_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 CPUs"):
        launch(train_on_points, Settings(tmp_path), num_workers=3, run=tmp_path / "run")
    assert time.monotonic() - began < 5


def test_workers_are_as_many_as_the_gpus_of_a_cluster_that_has_any(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    dead = {"Alive": False, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    monkeypatch.setattr(launcher.ray, "nodes", lambda: [node, dead])
    assert launcher._scaling(2).resources_per_worker == {"CPU": 8, "GPU": 1}
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 GPUs"):
        launcher._scaling(3)


def die_then_fail(settings: Settings, workers: Workers) -> None:
    with (settings.folder / "threads").open("a") as file:
        file.write(f"{torch.get_num_threads()}")
    launcher.logger.info("worker %s of %s says hello", workers.rank, workers.count)
    if (settings.folder / "threads").read_text() == "2":
        time.sleep(2)  # a worker lost while the group starts is not replaced by Ray
        os.kill(os.getpid(), signal.SIGKILL)
    raise QualityGate("the pictures are upside down")


def test_a_killed_worker_is_replaced_and_an_expected_failure_is_not_tried_again(tmp_path, caplog):
    with (
        pytest.raises(QualityGate, match=r"^the pictures are upside down$"),
        caplog.at_level(logging.INFO),
    ):
        launch(die_then_fail, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
    assert (tmp_path / "threads").read_text() == "22"  # twice, each time with all cores
    assert caplog.text.count("worker 0 of 1 says hello") == 2
    assert not (tmp_path / "run" / "ray").exists()


def die(settings: Settings, workers: Workers) -> None:
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_workers_that_always_die_are_given_up(tmp_path):
    with pytest.raises(Unavailable, match=r"were lost .* could not be replaced"):
        launch(die, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
