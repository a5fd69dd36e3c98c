"""Training in a process of its own, under Ray, ended from outside."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from tiny_chain import AUTOENCODER, TRAINING, write_shards

from pdm import events
from pdm.training import autoencoder
from pdm.training.distributed.workers import Workers

CONFIG = replace(
    AUTOENCODER,
    training=replace(
        TRAINING, total_images=320, save_every_images=80, log_every_images=80, keep_checkpoints=2
    ),
)
SCRIPT = """
import logging, sys
from pathlib import Path
from test_interrupted_training import CONFIG
from pdm.errors import INTERRUPTED, PyramidError
from pdm.training.autoencoder import train_autoencoder

logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])
try:
    train_autoencoder(
        CONFIG,
        shards=folder / "shards",
        run=folder / "run",
        model=folder / "model",
        curves=folder / "curves.csv",
    )
except PyramidError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
"""


@pytest.fixture
def process(tmp_path):
    """A training in `tmp_path` that has kept a checkpoint."""
    write_shards(tmp_path / "shards")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=(tmp_path / "stderr").open("w"),
    )
    try:
        wait_for_checkpoint(process, tmp_path)
        yield process
    finally:
        process.kill()  # its cluster ends with it
        process.wait()


def wait_for_checkpoint(process: subprocess.Popen, folder: Path, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not has_checkpoint(folder):
        assert process.poll() is None, (folder / "stderr").read_text()
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    family = psutil.Process(process.pid).children(recursive=True)
    workers = [child for child in family if "RayTrainWorker" in " ".join(child.cmdline())]
    assert len(workers) == 1
    return workers


def has_checkpoint(folder: Path) -> bool:
    return any((folder / "run" / "checkpoints").glob("0*"))


def train_on_and_compare(folder: Path) -> None:
    """The next run, and an unbroken one: what the launcher does for them is tested elsewhere."""
    (folder / "run" / "stop").unlink()
    torch.set_num_threads(os.cpu_count() or 1)  # as many as Ray gives, or sums would differ
    for run, model in (("run", "model"), ("unbroken", "unbroken-model")):
        settings = autoencoder.Settings(CONFIG, folder / "shards", folder / run, folder / model)
        autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    points = [event for event in events.read(folder / "run/events.jsonl") if "values" in event]
    steps = [point["images_seen"] for point in points if "loss" in point["values"]]
    assert steps == list(range(80, 321, 80))
    found, expected = (
        (folder / name / "model.safetensors").read_bytes() for name in ("model", "unbroken-model")
    )
    assert found == expected


@pytest.mark.slow
def test_sigterm_keeps_a_checkpoint_and_the_next_run_ends_like_an_unbroken_one(tmp_path, process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    said = (tmp_path / "stderr").read_text()
    assert "stopped on request after" in said
    assert "checkpoints/000" in said
    assert not (tmp_path / "model").exists()
    assert has_checkpoint(tmp_path)

    train_on_and_compare(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_nothing_trains_on_once_the_launching_process_is_gone(process, number, code):
    workers = workers_of(process)
    process.send_signal(number)
    assert process.wait(60) == code
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


@pytest.mark.slow
def test_a_cluster_that_loses_its_head_ends_the_run_which_resumes_elsewhere(tmp_path, process):
    workers = workers_of(process)
    family = psutil.Process(process.pid).children(recursive=True)
    [head] = [child for child in family if child.name() == "gcs_server"]
    head.kill()
    assert process.wait(90) == 4
    assert "head of the Ray cluster" in (tmp_path / "stderr").read_text()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    train_on_and_compare(tmp_path)
