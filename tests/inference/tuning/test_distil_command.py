"""`pyramid diffusion` with `diffusion.distil`: the flow first, then its tuning, each once."""

import argparse
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_distillation import CONFIG

from pdm import params
from pdm.cli import training_stages
from pdm.weights import FEW_STEPS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_command_trains_the_flow_then_tunes_it_and_does_neither_twice(
    chain, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    # Only reading is replaced: the chain's settings are in no params file.
    config = replace(CONFIG, score_images=0)
    monkeypatch.setattr(params, "load", lambda path: SimpleNamespace(diffusion=config))
    args = argparse.Namespace(
        params="params.yaml",
        dry_run=None,
        latents=chain.latents,
        autoencoder=chain.autoencoder,
        runs=tmp_path / "runs",
        model=tmp_path / "model",
        curves=tmp_path / "curves.csv",
        launcher="process",
    )

    def planned() -> str:
        training_stages.diffusion(argparse.Namespace(**vars(args) | {"dry_run": "json"}))
        return json.loads(capsys.readouterr().out)["text"]

    assert planned().startswith("diffusion: training from the start, 32 images")
    training_stages.diffusion(args)
    tuned = (tmp_path / "model" / FEW_STEPS / "model.safetensors").read_bytes()
    [run] = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    [tuning] = (run / FEW_STEPS).iterdir()
    record = json.loads((tuning / "tracking.json").read_text())
    assert "pyramid.model.distilled_from.sha256" in record["tags"]
    assert planned().startswith("diffusion, few steps: the model of a finished run is written")
    before = {path: path.stat().st_mtime_ns for path in (run, tuning)}
    training_stages.diffusion(args)
    assert (tmp_path / "model" / FEW_STEPS / "model.safetensors").read_bytes() == tuned
    assert {path: path.stat().st_mtime_ns for path in before} == before

    config = replace(config, distil=None)
    training_stages.diffusion(args)
    assert not (tmp_path / "model" / FEW_STEPS).exists()
