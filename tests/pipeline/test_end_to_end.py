"""The whole pipeline, for real, at a tiny setting: through the flow, then through `dvc repro`."""

import json
import os
import signal
import sys
import time

import pytest
import yaml
from mlflow import MlflowClient
from shared.folders import file_digests

from pdm.curation.scrape.drawing.scene import LANDS, choose
from pdm.data.shards.tars import read_members

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
# The first test of a fixture waits for a whole pipeline, which takes minutes beside other tests.
pytestmark = pytest.mark.timeout(900)

HEADLINES = ("Fréchet", "sliced", "precision", "recall", "reconstruction", "copies")


@pytest.fixture(scope="module")
def done(new_project):
    """A project after its first `pyramid run`, with MLflow away. The tests below use it one after
    the other."""
    project = new_project("flow")
    project.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    project.run("pyramid", "run")
    return project


@pytest.fixture(scope="module")
def sent(done):
    """The same project when MLflow is back."""
    done.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{done.folder}/mlflow.db"
    return done


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


def test_the_flow_runs_every_stage_and_shows_what_came_out(done):
    lines = done.output.splitlines()
    for stage in ALL_STAGES:
        assert lines.count(f"== {stage} ==") == 1
        assert any(line.startswith(f"{stage}: done in ") for line in lines)
        row = next(line for line in lines if line.startswith(f"{stage} "))
        assert row.split()[1] == "run"
        assert stage != "shard" or " train, " in row, "its counts, not the warning of few images"
    words = [line.split()[-1] for line in lines if line.startswith(HEADLINES)]
    assert len(words) == 6
    assert set(words) <= {"good", "fair", "poor"}
    assert len(lines) - lines.index(next(line for line in lines if line.startswith("stage "))) <= 30
    assert any("samples/contact-sheet.png" in line for line in lines)
    assert any("reports/data.html" in line for line in lines)
    assert "Traceback" not in done.output


def test_classes_and_captions_of_the_sources_arrive_in_the_shards(done):
    records = [
        json.loads(content)
        for tar in sorted((done.folder / "data/shards").glob("*.tar"))
        for name, content in read_members(tar).items()
        if name.endswith(".json")
    ]
    assert len(records) > 12
    for record in records:
        number = int(record["url"].rpartition("-")[2].removesuffix(".jpg"))
        if "/landscape-" in record["url"]:
            scene = choose(0, number)
            assert (record["class_name"], record["caption"]) == (scene.land, scene.caption)
    assert {record["class_name"] for record in records} == set(LANDS)


def test_without_mlflow_the_work_continues_and_the_lines_are_kept(done):
    said = [line for line in done.output.splitlines() if "cannot be reached" in line]
    assert len(said) == 3  # autoencoder, diffusion, evaluate
    assert all("are kept in runs/" in line and "pyramid sync" in line for line in said)


def test_a_second_run_of_the_flow_ends_in_seconds_and_says_so(done):
    began = time.monotonic()
    said = done.run("pyramid", "run")
    assert time.monotonic() - began < 30
    assert said.splitlines()[-1] == "everything is up to date"


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


def test_stored_lines_are_sent_later_and_once(sent):
    assert "3 runs" in sent.run("pyramid", "sync")
    assert "nothing" in sent.run("pyramid", "sync")


def test_mlflow_has_a_parent_with_a_child_per_training_and_evaluation(sent):
    found = runs_of(sent)
    [parent] = found["parent"]
    for stage in ("autoencoder", "diffusion", "evaluate"):
        [child] = found[stage]
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert len(child.data.tags["pyramid.data.sha256"]) == 64
    assert parent.info.status == "FINISHED"
    assert steps_of(sent, found["autoencoder"][0], "loss") == [16, 32, 48, 64]
    assert found["diffusion"][0].data.params["training.total_images"] == "64"
    assert "frechet_random_conv/samples_vs_val" in found["evaluate"][0].data.metrics


def test_bad_params_end_the_run_before_an_output_is_removed(done):
    good = (done.folder / "params.yaml").read_text()
    done.set({"sample": {"num_imges": 3, "steps": "six"}})
    try:
        said = done.run("pyramid", "run", exit_code=2)
    finally:
        (done.folder / "params.yaml").write_text(good)
    assert "error: params.yaml:" in said
    for key, words in (("num_imges", "did you mean 'num_images'?"), ("steps", "'six'")):
        [line] = [line for line in said.splitlines() if f": sample.{key}: " in line]
        assert words in line
    assert (done.folder / "samples/contact-sheet.png").exists()


def test_a_changed_param_runs_exactly_the_stages_that_it_reaches(sent):
    sent.set({"sample": {"seed": 5}})
    sent.run("dvc", "repro")
    assert sent.stages_run() == ["sample", "evaluate"]


def test_code_that_was_only_touched_runs_nothing(done):
    for path in ("pdm/models/unet.py", "pdm/training/loop/steps.py", "pdm/evaluation/evaluate.py"):
        with (done.folder / path).open("a") as file:
            file.write("\n# A remark.\nUNUSED = 1\n")
    done.run("dvc", "repro")
    assert done.stages_run() == []


def test_a_training_stage_that_is_forced_to_run_writes_the_same_model_within_seconds(done):
    folder = done.folder / "models/autoencoder"
    before = file_digests(folder)
    said = done.run("dvc", "repro", "--force", "--single-item", "autoencoder")
    assert "autoencoder: nothing to train" in said
    assert file_digests(folder) == before
    done.run("dvc", "repro")
    assert done.stages_run() == []


def test_data_travel_through_a_remote(done):
    done.run("dvc", "remote", "add", "--default", "local", "storage")
    done.run("dvc", "push")
    before = (done.folder / "models/diffusion/model.safetensors").read_bytes()
    for gone in (".dvc/cache", "models/diffusion"):
        done.run("rm", "-r", gone)
    done.run("dvc", "pull", "models/diffusion")
    assert (done.folder / "models/diffusion/model.safetensors").read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel to pass a parent's death on")
@pytest.mark.slow  # trainings alone: tests/inference/training/test_interrupted_training.py
def test_a_killed_training_resumes_from_its_checkpoint(sent):
    sent.set({"diffusion": {"training": {"total_images": 800}}})
    sent.environment["SHELL"] = "/bin/sh"  # unlike bash, it stays between DVC and a command
    with sent.start("dvc", "repro", "--single-item", "diffusion") as killed:
        wait_for(lambda: newest_step(sent) >= 32)
        os.kill(killed.pid, signal.SIGKILL)
        said = killed.communicate()[0]
    reached = newest_step(sent)
    assert reached < 800, said
    wait_for(lambda: [run.info.status for run in runs_of(sent)["diffusion"]].count("KILLED") == 1)
    [before] = [run for run in runs_of(sent)["diffusion"] if run.info.status == "KILLED"]

    sent.run("dvc", "repro", "--single-item", "diffusion")
    assert sent.stages_run() == ["diffusion"]
    [after] = [run for run in runs_of(sent)["diffusion"] if run.info.run_id == before.info.run_id]
    assert after.info.status == "FINISHED"
    assert len(runs_of(sent)["diffusion"]) == 2  # the tiny one, and this one once
    assert steps_of(sent, after, "loss") == list(range(16, 801, 16))


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


@pytest.mark.slow
def test_dvc_without_prefect_runs_every_stage_in_the_same_order(new_project):
    project = new_project("dvc")
    project.run("dvc", "repro")
    assert project.stages_run() == ALL_STAGES
    project.run("dvc", "repro")
    assert project.stages_run() == []
