"""DVC's experiments, also those in temporary folders, are runs of the project's own MLflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scored_models import draw, evaluate
from tracked_runs import CONFIG, client, local, runs

from pdm.tracking.connection.address import artifacts, database, shown_address
from pdm.tracking.connection.project import project_root
from pdm.tracking.sync import sync
from pdm.tracking.track import track

ROOT = Path(__file__).parents[2]
STAGE = """
import logging, sys
sys.path[:0] = ["{tests}", "{root}"]
logging.basicConfig(level=logging.INFO, format="%(message)s")
from scored_models import draw, track_evaluation
score = float(open("params.yaml").read().partition("score:")[2])
draw(str(score).encode())
track_evaluation(score)
open("metrics.json", "w").write(f'{{{{"score": {{score}}}}}}')
"""
GRAPH = """
stages:
  evaluate:
    cmd: {python} stage.py
    deps: [stage.py]
    params: [score]
    metrics: [metrics.json: {{cache: false}}]
"""
IGNORED = "mlflow.db\nmlartifacts\nruns\nplots\nsamples\nmodels\ndata\n.lock*\n"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A temporary copy of the project, as DVC makes it, is the current folder."""
    folder = tmp_path / ".dvc/tmp/exps/standalone/tmp123"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_NAME", "odd-name")
    return folder


@pytest.mark.parametrize("variable", [None, "sqlite:///mlflow.db"])
def test_a_relative_address_starts_from_the_project(variable, copy, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    assert project_root() == tmp_path
    assert database() == tmp_path / "mlflow.db"
    assert artifacts() == (tmp_path / "mlartifacts").as_uri()
    assert shown_address() == "sqlite:///mlflow.db"  # records know the same MLflow by it


def test_other_addresses_stay_as_they_are(copy, monkeypatch):
    for address in ("http://127.0.0.1:5000", "sqlite:////elsewhere/mlflow.db", "databricks"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert shown_address() == address


def test_without_an_experiment_the_project_is_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "below").mkdir()
    monkeypatch.chdir("below")
    assert project_root() == tmp_path / "below"


def test_a_copy_behind_a_link_belongs_to_its_project_too(copy, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("scratch")
    root = project_root()
    monkeypatch.chdir(elsewhere)
    assert project_root() == root


def test_what_was_not_sent_outlives_the_copy(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    draw(b"one")
    Path("params.yaml").write_text("diffusion: {}\n")
    evaluate(3.0, monkeypatch)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["rm", "-r", copy], check=True)
    for name in ("DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    sync(Path("runs"))
    run = runs()["evaluate"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["pyramid.dvc_experiment"] == "odd-name"
    assert any(name.startswith("odd-name ") for name in runs())
    listed = [file.path for file in client().list_artifacts(run.info.run_id, "pictures")]
    assert listed == ["pictures/replicates.json"]
    assert client().get_model_version_by_alias("pyramid-diffusion", "champion").version == 1


def test_points_of_a_training_outlive_the_copy(copy, tmp_path, monkeypatch):
    from pdm.events import EventLog

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    events = Path("runs/diffusion/abc/events.jsonl")
    with track("diffusion", CONFIG, events=events):
        EventLog(events).metrics({"loss": 0.5}, 10)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    sync(Path("runs"))
    assert runs()["diffusion"].data.metrics["loss"] == 0.5


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose pipeline has run: version 1 is the champion."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    Path("stage.py").write_text(STAGE.format(tests=Path(__file__).parent, root=ROOT))
    Path("dvc.yaml").write_text(GRAPH.format(python=sys.executable))
    Path("params.yaml").write_text("score: 3.0\n")
    Path(".gitignore").write_text(IGNORED)
    git("init", "--quiet")
    dvc("init", "--quiet")
    dvc("config", "core.analytics", "false")
    dvc("repro")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    return tmp_path


def git(*arguments):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], check=True)


def dvc(*arguments):
    """Run a command of DVC; its output. Not through a pipe: the queue's workers keep it open."""
    people = ("AUTHOR", "COMMITTER")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in people for what in ("NAME", "EMAIL")}
    with Path(".git/output").open("w+") as file:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
            env=os.environ | identity | {"PATH": path},
        )
        file.seek(0)
        output = file.read()
    assert done.returncode == 0, output
    return output


def scores():
    experiment = client().get_experiment_by_name("pyramid-diffusion").experiment_id
    found = client().search_runs([experiment], "attributes.run_name = 'evaluate'")
    return sorted(run.data.metrics["frechet_random_conv/samples_vs_val"] for run in found)


def champion():
    return client().get_model_version_by_alias("pyramid-diffusion", "champion").version


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--temp"], []], ids=["temporary folder", "workspace"])
def test_an_experiment_is_a_run_of_the_projects_mlflow_and_beats_its_champion_or_not(project, how):
    worse = dvc("exp", "run", *how, "--set-param", "score=4.0")
    assert "not promoted: it is not better than version 1" in worse
    assert (scores(), champion()) == ([3.0, 4.0], 1)
    better = dvc("exp", "run", *how, "--set-param", "score=2.0")
    assert "version 3 is the champion: it is better than version 1" in better
    assert (scores(), champion()) == ([2.0, 3.0, 4.0], 3)
    assert "nothing" in sync(Path("runs"))


@pytest.mark.slow
def test_a_queue_of_experiments_at_once_is_sent_to_the_projects_mlflow(project):
    for score in ("4.0", "5.0"):
        dvc("exp", "run", "--queue", "--set-param", f"score={score}")
    dvc("exp", "run", "--run-all", "--jobs", "2")
    assert (scores(), champion()) == ([3.0, 4.0, 5.0], 1)
