"""The training stages as their commands run them: again after the end, and for longer."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_chain import AUTOENCODER, DIFFUSION, Chain

from pdm.errors import Unavailable
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.training.autoencoder import run_folder, train_autoencoder
from pdm.training.checkpoints.finished import export_instead_of_training
from pdm.training.diffusion import run_folder as diffusion_run_folder
from pdm.training.diffusion import train_diffusion
from pdm.training.distributed.launchers import launch_in_process

pytestmark = pytest.mark.usefixtures("one_thread")


def train(chain: Chain, folder: Path, total_images: int = 32, **changes) -> Path:
    """The stage `autoencoder`; its run's folder."""
    training = replace(AUTOENCODER.training, total_images=total_images, **changes)
    config = replace(AUTOENCODER, training=training)
    run = run_folder(config, shards=chain.shards, runs=folder / "runs")
    outputs = {"model": folder / "model", "curves": folder / "curves.csv"}
    if not export_instead_of_training("autoencoder", run, **outputs):
        train_autoencoder(config, shards=chain.shards, run=run, launch=launch_in_process, **outputs)
    return run


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_a_finished_stage_writes_the_same_bytes_again_without_training(chain, tmp_path, caplog):
    caplog.set_level("INFO", logger="pdm")
    run = train(chain, tmp_path)
    before = files_of(tmp_path / "model") | {"curves": (tmp_path / "curves.csv").read_bytes()}
    times = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    for path in (tmp_path / "model").iterdir():
        path.unlink()
    (tmp_path / "curves.csv").unlink()
    caplog.clear()
    assert train(chain, tmp_path) == run
    assert "nothing to train" in caplog.text
    after = files_of(tmp_path / "model") | {"curves": (tmp_path / "curves.csv").read_bytes()}
    assert after == before
    assert times == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_a_training_without_room_for_its_checkpoints_is_not_begun(chain, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: full)
    with pytest.raises(Unavailable, match="nothing was started"):
        train(chain, tmp_path)
    assert not list(tmp_path.rglob("checkpoints"))


def test_a_finished_autoencoder_trains_on_to_the_bits_of_a_longer_run(chain, tmp_path):
    train(chain, tmp_path / "extended", keep_runs=2)
    run = train(chain, tmp_path / "extended", total_images=64, keep_runs=2)
    train(chain, tmp_path / "longer", total_images=64)
    found, expected = (files_of(tmp_path / name / "model") for name in ("extended", "longer"))
    assert found == expected
    assert (tmp_path / "extended/curves.csv").read_bytes() == (
        tmp_path / "longer/curves.csv"
    ).read_bytes()
    assert {path.name for path in (run / "pictures").iterdir()} == {
        f"reconstructions-{seen:09}.png" for seen in (16, 32, 48, 64)
    }


def test_so_does_a_diffusion_model_unless_its_dropout_falls_with_the_length(chain, tmp_path):
    models = {}
    for falls in (False, True):
        for name, lengths in (("extended", (32, 48)), ("longer", (48,))):
            folder = tmp_path / f"{name}-{falls}"
            for total_images in lengths:
                config = replace(
                    DIFFUSION,
                    score_images=0,
                    model=replace(DIFFUSION.model, dropout_falls=falls),
                    training=replace(DIFFUSION.training, total_images=total_images, keep_runs=2),
                )
                run = diffusion_run_folder(config, latents=chain.latents, runs=folder / "runs")
                train_diffusion(
                    config,
                    latents=chain.latents,
                    autoencoder=chain.autoencoder,
                    run=run,
                    model=folder / "model",
                    curves=folder / "curves.csv",
                    build_reference_distance=ReferenceDistance,
                    launch=launch_in_process,
                )
            models[name, falls] = files_of(folder / "model")
            models[name, falls] |= files_of(folder / "model" / "ema")
    for falls in (False, True):
        assert models["extended", falls] == models["longer", falls]
