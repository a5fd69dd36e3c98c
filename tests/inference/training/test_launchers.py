"""Ways to start a training without Ray: a script of ten lines, the command, `torchrun`."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_chain import AUTOENCODER, write_shards

from pdm.errors import BadInput, Preempted
from pdm.training.autoencoder import run_folder, train_autoencoder
from pdm.training.distributed.launchers import choose_launcher, launch_in_process, launch_on_ray

pytestmark = pytest.mark.usefixtures("one_thread")

SCRIPT = """
import sys
from pathlib import Path
from tiny_chain import AUTOENCODER, write_shards
from pdm.training.autoencoder import run_folder, train_autoencoder
from pdm.training.distributed.launchers import launch_in_process

folder = Path(sys.argv[1])
shards = folder / "shards"
run = run_folder(AUTOENCODER, shards=shards, runs=folder / "runs")
places = dict(shards=shards, run=run, model=folder / "model", curves=folder / "curves.csv")
train_autoencoder(AUTOENCODER, **places, launch=launch_in_process)
print([name for name in ("ray", "dvc", "prefect", "mlflow") if name in sys.modules])
"""
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Without dropout, which every worker draws for its own images.
PLAIN = replace(
    AUTOENCODER,
    model=replace(AUTOENCODER.model, encoder_dropout=(0.0,) * 4, decoder_dropout=(0.0,) * 4),
)


def run_python(*arguments: object, **variables: str) -> str:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", HERE.parent, HERE)))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=200,
    )
    return done.stdout


def train(folder: Path, config=AUTOENCODER) -> dict[str, torch.Tensor]:
    run = run_folder(config, shards=folder / "shards", runs=folder / "runs")
    train_autoencoder(
        config,
        shards=folder / "shards",
        run=run,
        model=folder / "model",
        curves=folder / "curves.csv",
        launch=launch_in_process,
    )
    return load_file(folder / "model" / "model.safetensors")


def test_a_script_of_ten_lines_trains_to_the_same_bits_without_ray(tmp_path):
    for name in ("script", "here"):
        (tmp_path / name).mkdir()
        write_shards(tmp_path / name / "shards")
    assert run_python("-c", SCRIPT, tmp_path / "script").splitlines()[-1] == "[]"
    weights = load_file(tmp_path / "script" / "model" / "model.safetensors")
    for name, weight in train(tmp_path / "here").items():
        assert torch.equal(weight, weights[name]), name
    assert (tmp_path / "script" / "curves.csv").exists()


WORKER = """
import sys
from dataclasses import replace
from pathlib import Path
from test_launchers import PLAIN
from pdm.training.autoencoder import run_folder, train_autoencoder
from pdm.training.distributed.launchers import choose_launcher

folder = Path(sys.argv[1])
run = run_folder(PLAIN, shards=folder / "shards", runs=folder / "runs")
places = dict(shards=folder / "shards", run=run, model=folder / "model")
train_autoencoder(PLAIN, **places, curves=folder / "curves.csv", launch=choose_launcher())
"""


def test_two_workers_of_torchrun_train_as_one(tmp_path):
    """The same images in the same order; sums of gradients differ by rounding alone."""
    for name in ("two", "one"):
        (tmp_path / name).mkdir()
        write_shards(tmp_path / name / "shards")
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = ("--nproc-per-node", 2, "--master-addr", "127.0.0.1", "--master-port", port)
    run_python("-m", "torch.distributed.run", *workers, tmp_path / "worker.py", tmp_path / "two")
    expected = train(tmp_path / "one", PLAIN)
    found = load_file(tmp_path / "two/model/model.safetensors")
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert (found[name] - weight).abs().mean() < 2e-3, name
    rows = (tmp_path / "two" / "curves.csv").read_text().splitlines()
    assert len(rows) == len((tmp_path / "one" / "curves.csv").read_text().splitlines())


def test_a_batch_that_torchruns_workers_cannot_share_is_refused(tmp_path, monkeypatch):
    class ThreeWorkers:
        count = 3

    from pdm.training.distributed import launchers

    settings = type("Settings", (), {"config": AUTOENCODER})()
    with pytest.raises(BadInput, match=r"batch_size 4 cannot be divided among 3 processes"):
        launchers._check_batch_size(settings, ThreeWorkers())


@pytest.mark.parametrize(("number", "error"), [(15, Preempted), (2, KeyboardInterrupt)])
def test_a_signal_saves_a_checkpoint_from_which_the_training_resumes(tmp_path, number, error):
    (tmp_path / "shards").parent.mkdir(exist_ok=True)
    write_shards(tmp_path / "shards")
    state = {"sent": False}

    def send(*_: object) -> None:
        if not state["sent"]:
            state["sent"] = True
            os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGALRM, send)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)
    longer = replace(AUTOENCODER.training, total_images=40_000, save_every_images=40_000)
    try:
        with pytest.raises(error):
            train(tmp_path, replace(AUTOENCODER, training=longer))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert list((tmp_path / "runs").glob("*/checkpoints/0*"))


def test_ray_starts_the_workers_unless_torchrun_did(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert choose_launcher() is launch_on_ray
    assert choose_launcher("process") is launch_in_process
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "0")
    assert choose_launcher() is launch_in_process
