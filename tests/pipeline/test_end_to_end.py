"""The whole pipeline, for real, at a tiny setting: through `dvc repro`, and through the flow."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

ALL_STAGES = [
    "scrape",
    "curate",
    "shard",
    "autoencoder",
    "latents",
    "diffusion",
    "sample",
    "evaluate",
]


@pytest.fixture(scope="module")
def done(new_project):
    """A project after its first `dvc repro`. The tests below use it one after the other."""
    project = new_project("dvc")
    project.run("dvc", "repro")
    assert project.stages_run() == ALL_STAGES
    return project


@pytest.fixture(scope="module")
def flown(new_project, done):
    """Another project after `pyramid run` on a folder of pictures, with MLflow away."""
    project = new_project("prefect")
    pictures = Path(project.folder / "pictures")
    pictures.mkdir()
    for shard in sorted((done.folder / "data/raw").glob("*.tar")):
        project.run("tar", "--extract", "--file", str(shard), "--directory", str(pictures))
    project.set({"scrape": {"sources": [{"kind": "folder", "path": "pictures"}]}})
    project.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    project.run("pyramid", "run")
    return project


def runs_of(project):
    """MLflow's runs by name, parents under "parent"."""
    client = MlflowClient(tracking_uri=f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("pyramid-diffusion")
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        name = run.data.tags.get("pyramid.stage", "parent")
        found.setdefault(name, []).append(run)
    return found


def steps_of(project, run, metric):
    client = MlflowClient(tracking_uri=f"sqlite:///{project.folder}/mlflow.db")
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def test_every_declared_output_is_there(done):
    for name, stage in yaml.safe_load((done.folder / "dvc.yaml").read_text())["stages"].items():
        for entry in stage.get("outs", []) + stage.get("plots", []) + stage.get("metrics", []):
            path = done.folder / (next(iter(entry)) if isinstance(entry, dict) else entry)
            assert path.exists(), (name, path)
    assert len(list((done.folder / "samples").glob("0*.png"))) == 8
    assert (done.folder / "samples/contact-sheet.png").exists()


def test_metrics_are_finite_numbers_that_dvc_shows(done):
    scores = json.loads((done.folder / "metrics.json").read_text())
    assert scores["frechet_random_conv"]["samples_vs_val"] > 0
    assert "samples_vs_val" in done.run("dvc", "metrics", "show")


def test_a_second_repro_runs_nothing(done):
    done.run("dvc", "repro")
    assert done.stages_run() == []


def test_mlflow_has_a_parent_with_a_child_per_training_and_evaluation(done):
    found = runs_of(done)
    [parent] = found["parent"]
    for stage in ("autoencoder", "diffusion", "evaluate"):
        [child] = found[stage]
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert len(child.data.tags["pyramid.data.sha256"]) == 64
    assert parent.info.status == "FINISHED"
    assert steps_of(done, found["autoencoder"][0], "loss") == [16, 32, 48, 64]
    assert found["diffusion"][0].data.params["training.total_images"] == "64"
    assert "frechet_random_conv/samples_vs_val" in found["evaluate"][0].data.metrics


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("sample", {"num_imges": 3}, "did you mean 'num_images'?"),
        ("sample", {"steps": "six"}, "'six'"),
    ],
)
def test_bad_params_stop_before_an_output_goes(done, section, change, words):
    good = (done.folder / "params.yaml").read_text()
    done.set({section: change})
    try:
        said = done.run("pyramid", "run", exit_code=2)
        assert f"error: params.yaml: {section}.{next(iter(change))}: " in said
        assert words in said
    finally:
        (done.folder / "params.yaml").write_text(good)
    assert (done.folder / "samples/contact-sheet.png").exists()


def test_a_changed_param_runs_exactly_the_stages_that_it_reaches(done):
    done.set({"sample": {"seed": 5}})
    done.run("dvc", "repro")
    assert done.stages_run() == ["sample", "evaluate"]


def test_data_travel_through_a_remote(done):
    done.run("dvc", "remote", "add", "--default", "local", "storage")
    done.run("dvc", "push")
    before = (done.folder / "models/diffusion/model.safetensors").read_bytes()
    for gone in (".dvc/cache", "models/diffusion"):
        done.run("rm", "-r", gone)
    done.run("dvc", "pull", "models/diffusion")
    assert (done.folder / "models/diffusion/model.safetensors").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel to pass a parent's death on")
def test_training_that_is_killed_goes_on_from_its_checkpoint(done):
    done.set({"diffusion": {"training": {"total_images": 800}}})
    done.environment["SHELL"] = "/bin/sh"  # unlike bash, it stays between DVC and a command
    with done.start("dvc", "repro", "--single-item", "diffusion") as killed:
        wait_for(lambda: newest_step(done) >= 32)
        os.kill(killed.pid, signal.SIGKILL)
        said = killed.communicate()[0]
    reached = newest_step(done)
    assert reached < 800, said
    wait_for(lambda: [run.info.status for run in runs_of(done)["diffusion"]].count("KILLED") == 1)
    [before] = [run for run in runs_of(done)["diffusion"] if run.info.status == "KILLED"]

    done.run("dvc", "repro", "--single-item", "diffusion")
    assert done.stages_run() == ["diffusion"]
    [after] = [run for run in runs_of(done)["diffusion"] if run.info.run_id == before.info.run_id]
    assert after.info.status == "FINISHED"
    assert len(runs_of(done)["diffusion"]) == 2  # the tiny one, and this one once
    assert steps_of(done, after, "loss") == list(range(16, 801, 16))


def newest_step(project):
    """Images seen by the newest diffusion run, as its log says."""
    logs = sorted(project.folder.glob("runs/diffusion/*/events.jsonl"), key=os.path.getmtime)
    lines = [json.loads(line) for line in logs[-1].read_text().splitlines() if line.endswith("}")]
    long = '"800"' in (logs[-1].parent / "tracking.json").read_text()
    return max([line["images_seen"] for line in lines], default=0) if long else 0


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def test_the_flow_runs_every_stage_and_shows_what_came_out(flown):
    lines = flown.output.splitlines()
    for stage in ALL_STAGES:
        assert lines.count(f"== {stage} ==") == 1
        assert any(line.startswith(f"{stage}: done in ") for line in lines)
        row = next(line for line in lines if line.startswith(f"{stage} "))
        assert row.split()[2] == "run"
    assert any("frechet_random_conv.samples_vs_val" in line for line in lines)
    assert any("samples/contact-sheet.png" in line for line in lines)
    assert any("reports/data.html" in line for line in lines)
    assert "Traceback" not in flown.output


def test_with_mlflow_away_the_work_goes_on_and_the_lines_are_kept_and_sent_later(flown):
    said = [line for line in flown.output.splitlines() if "cannot be reached" in line]
    assert len(said) == 3  # autoencoder, diffusion, evaluate
    assert all("are kept in runs/" in line and "pyramid sync" in line for line in said)
    flown.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{flown.folder}/mlflow.db"
    assert "3 runs" in flown.run("pyramid", "sync")
    assert "nothing" in flown.run("pyramid", "sync")
    found = runs_of(flown)
    assert len(found["parent"]) == 1
    assert steps_of(flown, found["diffusion"][0], "loss") == [16, 32, 48, 64]
    assert found["evaluate"][0].info.status == "FINISHED"


def test_a_second_run_of_the_flow_ends_in_seconds_and_says_so(flown):
    began = time.monotonic()
    said = flown.run("pyramid", "run")
    assert time.monotonic() - began < 30
    assert said.splitlines()[-1] == "everything is up to date"
