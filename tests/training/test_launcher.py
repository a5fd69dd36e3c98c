"""The launcher on a real local Ray, with work that trains nothing."""

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

from pdm.cluster import ray_session
from pdm.errors import Preempted, QualityGate, Unavailable
from pdm.training import launcher
from pdm.training.launcher import launch
from pdm.training.runs import STOP
from pdm.training.workers import Workers

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


@pytest.fixture(scope="module", autouse=True)
def ray():
    with ray_session(num_cpus=2):
        yield


@dataclass
class Settings:
    folder: Path


def note_who_i_am(settings: Settings, workers: Workers) -> None:
    mean = workers.mean(torch.tensor(float(workers.rank))).item()
    launcher.logger.info("worker %s of %s says hello", workers.rank, workers.count)
    (settings.folder / f"{workers.rank}").write_text(f"{torch.get_num_threads()} {mean}")


def test_one_worker_has_all_cores_and_is_heard(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        launch(note_who_i_am, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
    assert (tmp_path / "0").read_text() == "2 0.0"
    assert "worker 0 of 1 says hello" in caplog.text
    assert not (tmp_path / "run" / "ray").exists()


def test_two_workers_share_the_cores_and_meet(tmp_path):
    launch(note_who_i_am, Settings(tmp_path), num_workers=2, run=tmp_path / "run")
    assert [(tmp_path / name).read_text() for name in "01"] == ["1 0.5", "1 0.5"]


def test_more_workers_than_cores_is_said_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 CPUs"):
        launch(note_who_i_am, Settings(tmp_path), num_workers=3, run=tmp_path / "run")
    assert time.monotonic() - began < 5


def test_workers_are_as_many_as_the_gpus_of_a_cluster_that_has_any(monkeypatch):
    node = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    dead = {"Alive": False, "Resources": {"CPU": 16.0, "GPU": 2.0}}
    monkeypatch.setattr(launcher.ray, "nodes", lambda: [node, dead])
    assert launcher._scaling(2).resources_per_worker == {"CPU": 8, "GPU": 1}
    with pytest.raises(Unavailable, match=r"num_workers is 3, but the cluster has 2 GPUs"):
        launcher._scaling(3)


def fail(settings: Settings, workers: Workers) -> None:
    with (settings.folder / "tries").open("a") as file:
        file.write("x")
    raise QualityGate("the pictures are upside down")


def test_an_expected_failure_comes_back_as_itself_after_one_try(tmp_path):
    with pytest.raises(QualityGate, match=r"^the pictures are upside down$"):
        launch(fail, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
    assert (tmp_path / "tries").read_text() == "x"


def die_once(settings: Settings, workers: Workers) -> None:
    marker = settings.folder / "died"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (settings.folder / "done").touch()


def test_a_killed_worker_is_replaced(tmp_path):
    launch(die_once, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
    assert (tmp_path / "done").exists()


def die(settings: Settings, workers: Workers) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_workers_that_always_die_are_given_up(tmp_path):
    with pytest.raises(Unavailable, match="lost more than 2 times"):
        launch(die, Settings(tmp_path), num_workers=1, run=tmp_path / "run")


def wait_for_stop(settings: Settings, workers: Workers) -> None:
    (settings.folder / "waiting").touch()
    while not (settings.folder / "run" / STOP).exists():
        time.sleep(0.05)
    raise Preempted("stopped as asked")


def test_sigterm_asks_the_workers_to_stop(tmp_path):
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        while not (tmp_path / "waiting").exists():
            time.sleep(0.05)
        os.kill(pid, signal.SIGTERM)
        os._exit(0)
    with pytest.raises(Preempted, match="stopped as asked"):
        launch(wait_for_stop, Settings(tmp_path), num_workers=1, run=tmp_path / "run")
    os.waitpid(child, 0)
