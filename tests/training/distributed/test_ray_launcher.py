"""The launcher on a real local Ray, with work that trains nothing."""

import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import points
import pytest
import torch
from points import CONFIG, Points, Regression
from ray import cloudpickle
from safetensors.torch import load_file
from shared.worker_groups import run_group

from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.files import sole_writer
from pdm.parallel import resources
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.distributed import ray_launcher
from pdm.training.distributed.ray_launcher import launch
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

for module in (sys.modules[__name__], points):  # workers cannot import a test
    cloudpickle.register_pickle_by_value(module)


pytestmark = pytest.mark.usefixtures("ray_cluster")


@dataclass
class Settings:
    folder: Path


class DeadlyPoints(Points):
    """Kill the second worker at its 25th position, once."""

    def __init__(self, killed: Path) -> None:
        super().__init__()
        self.killed = killed

    def load(self, positions):
        if 28 in positions and not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().load(positions)


def train_on_points(settings: Settings, workers: Workers) -> None:
    torch.manual_seed(workers.rank)  # the first one's weights must win
    network = Regression()
    state = TrainState(network, CONFIG)
    restore_newest(state, checkpoints_of(settings.folder, CONFIG), workers)
    run = RunFolder(settings.folder, "points", CONFIG, workers, state.images_seen, lambda *_: 0.0)
    (settings.folder / f"{workers.rank}").write_text(f"{torch.get_num_threads()}")
    data = DeadlyPoints(settings.folder / "killed")
    train(state, workers.wrap(network, CONFIG), data, CONFIG, run, workers)
    if workers.rank == 1:
        (settings.folder / "second").write_text(json.dumps(network.layer.weight.tolist()))


def train_unbroken(workers: Workers, folder: Path) -> None:
    (folder / "killed").touch()
    train_on_points(Settings(folder), workers)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_train_as_if_nothing_had_happened(tmp_path):
    folders = [tmp_path / "killed", tmp_path / "unbroken", tmp_path / "one"]
    for folder in folders[1:]:
        folder.mkdir()
    launch(train_on_points, Settings(folders[0]), num_workers=2, run=folders[0])
    assert (folders[0] / "killed").exists()
    assert [(folders[0] / name).read_text() for name in "01"] == ["1", "1"]
    run_group(2, train_unbroken, folders[1])
    train_unbroken(Workers(torch.device("cpu")), folders[2])
    ends = [folder / "checkpoints/000000048" for folder in folders]
    for file in sorted(ends[0].iterdir()):
        assert file.read_bytes() == (ends[1] / file.name).read_bytes(), file.name
    two, one = (load_file(end / "model.safetensors") for end in (ends[0], ends[2]))
    torch.testing.assert_close(two, one)
    second = torch.tensor(json.loads((folders[0] / "second").read_text()))
    assert torch.equal(second, two["layer.weight"])


def test_more_workers_than_cores_are_refused_before_anything_starts(tmp_path):
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 CPUs"):
        launch(train_on_points, Settings(tmp_path), num_workers=3, run=tmp_path / "run")
    assert time.monotonic() - began < 5


def test_workers_are_as_many_as_the_gpus_of_a_cluster_that_has_any(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    dead = {"Alive": False, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    monkeypatch.setattr(resources.ray, "nodes", lambda: [node, dead])
    assert resources.resources_of_worker(2) == {"CPU": 8, "GPU": 1}
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 GPUs"):
        resources.resources_of_worker(3)


def die_then_fail(settings: Settings, workers: Workers) -> None:
    with (settings.folder / "threads").open("a") as file:
        file.write(f"{torch.get_num_threads()}")
    ray_launcher.logger.info("worker %s of %s says hello", workers.rank, workers.count)
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


def fail_alone(settings: Settings, workers: Workers) -> None:
    with (settings.folder / "tries").open("a") as file:
        file.write("x")
    workers.max_over_workers(0)  # both have begun
    if workers.rank == 1:
        raise BadInput("a shard is missing on this machine")
    workers.max_over_workers(1)  # waits for the other in vain


@pytest.mark.slow
def test_a_failing_worker_ends_the_others_that_wait_for_it(tmp_path):
    with pytest.raises(BadInput, match=r"^a shard is missing on this machine$"):
        launch(fail_alone, Settings(tmp_path), num_workers=2, run=tmp_path / "run")
    assert (tmp_path / "tries").read_text() == "xx"  # Ray began again, the work did not


def fall_asleep_once(settings: Settings, workers: Workers) -> None:
    if workers.rank == 1 and not (settings.folder / "slept").exists():
        (settings.folder / "slept").touch()
        time.sleep(1000)
    workers.max_over_workers(1)


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_launcher, "SECONDS_OF_SILENCE", 10)
    launch(fall_asleep_once, Settings(tmp_path), num_workers=2, run=tmp_path / "run")
    assert (tmp_path / "slept").exists()


def test_a_run_that_another_process_trains_is_refused_at_once(tmp_path):
    run = tmp_path / "run"
    with sole_writer(run), pytest.raises(Unavailable, match=rf"being written by .* {os.getpid()}"):
        launch(fail_alone, Settings(tmp_path), num_workers=1, run=run)
    assert not (tmp_path / "tries").exists()


def die(settings: Settings, workers: Workers) -> None:
    time.sleep(2)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_training_ends_if_workers_die_again_and_again(tmp_path):
    with pytest.raises(Unavailable, match=r"were lost .* could not be replaced"):
        launch(die, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
