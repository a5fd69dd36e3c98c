import contextlib
import json
import math
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image
from tracked_runs import CONFIG, EVENTS, client, points, runs, work

from pdm.data.shards import listing
from pdm.data.shards.listing import Listed
from pdm.data.shards.manifest import Manifest
from pdm.errors import Preempted
from pdm.events import EventLog
from pdm.files import sha256_of
from pdm.tracking.track import track


def test_a_run_has_params_points_model_and_a_parent():
    data = Path("data")
    data.mkdir()
    Manifest({"train": []}, {}).save(data)
    model = Path("models/diffusion")
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "ema").mkdir()
    (model / "ema" / "000000016-0.1.safetensors").write_bytes(b"stay where they are")
    listing.write(model, [Listed(f"{number}", "a" * 64, "train") for number in range(3)])
    Path("dvc.lock").write_text("lock")
    with track("diffusion", CONFIG, events=EVENTS, data=data) as tracked:
        work()
        tracked.log_model(model)
    found = runs()
    run = found["diffusion"]
    parent = next(run for name, run in found.items() if name.startswith("pipeline"))
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.status == parent.info.status == "FINISHED"
    assert run.data.params == {
        "rate": "0.5",
        "widths": "[8, 16]",
        "levels.0.channels": "3",
        "levels.1.channels": "4",
    }
    assert parent.data.params["diffusion.rate"] == "0.5"
    assert points(run, "loss") == [(10, 0.1), (20, 0.05), (30, 1 / 30)]
    assert run.data.tags["pyramid.data.sha256"] == sha256_of(data / "manifest.json")
    assert run.data.tags["pyramid.dvc_lock.sha256"] == sha256_of(Path("dvc.lock"))
    assert run.inputs.dataset_inputs[0].dataset.name == "data"
    assert [file.path for file in client().list_artifacts(run.info.run_id, "model")] == [
        "model/config.json",
        "model/pictures.json",
    ]
    assert run.data.tags["pyramid.pictures.sha256"] == sha256_of(model / "pictures.txt")
    assert run.data.tags["pyramid.pictures.num_train"] == "3"
    assert "system/cpu_utilization_percentage" in run.data.metrics


def test_a_run_tells_what_it_cost_and_the_pipeline_what_each_stage_did():
    model = Path("models/diffusion")
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    facts = {"parameters": 10, "images_seen": 40, "forward_flops": 1000}
    (model / "config.json").write_text(json.dumps(facts))
    with track("diffusion", CONFIG, events=EVENTS) as tracked:
        log = EventLog(EVENTS)
        log.metrics({"cpu_seconds": 1800.0, "gpu_seconds": 3600.0}, 20)
        log.metrics({"cpu_seconds": 1800.0, "gpu_seconds": 3600.0}, 40)
        tracked.log_model(model)
    run = runs()["diffusion"]
    costs = {name: value for name, value in run.data.metrics.items() if name.startswith("cost/")}
    assert costs["cost/gpu_hours"] == 2
    assert costs["cost/cpu_hours"] == pytest.approx(1, abs=0.01)
    assert 0 < costs["cost/wall_seconds"] < 60
    assert costs["cost/training_flops"] == 3 * 1000 * 40
    assert (costs["cost/parameters"], costs["cost/images_seen"]) == (10, 40)
    parent = client().get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.metrics["cost/diffusion/gpu_hours"] == 2
    assert run.data.tags["pyramid.model.sha256"] == sha256_of(model / "model.safetensors")


def test_time_worked_before_an_interruption_counts():
    with contextlib.suppress(Preempted), track("diffusion", CONFIG, events=EVENTS):
        work()
        time.sleep(0.2)
        raise Preempted("later")
    with track("diffusion", CONFIG, events=EVENTS):
        time.sleep(0.2)
    assert runs()["diffusion"].data.metrics["cost/wall_seconds"] >= 0.4


def test_the_data_set_names_its_version_size_and_use():
    data = Path("latents")
    data.mkdir()
    Manifest({"train": [], "val": []}, {"shards_sha256": "a" * 64}).save(data)
    with track("evaluate", CONFIG, data=data):
        pass
    found = runs()["evaluate"].inputs.dataset_inputs[0]
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "evaluation"}
    profile = json.loads(found.dataset.profile)
    assert profile["digest"] == sha256_of(data / "manifest.json")
    assert profile["shards_sha256"] == "a" * 64
    assert profile["num_val"] == "0"


def test_the_pipeline_run_holds_all_of_params_yaml():
    Path("params.yaml").write_text("curate: {min: 2}\nscrape: {sources: [{kind: urls}]}\n")
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    parent = client().get_run(runs()["diffusion"].data.tags["mlflow.parentRunId"])
    assert parent.data.params["curate.min"] == "2"
    assert parent.data.params["scrape.sources.0.kind"] == "urls"
    assert parent.data.params["diffusion.rate"] == "0.5"


def test_points_arrive_while_the_stage_still_works():
    with track("diffusion", CONFIG, events=EVENTS):
        work()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.5)
            with contextlib.suppress(Exception):
                if points(runs()["diffusion"], "loss"):
                    break
        assert runs()["diffusion"].info.status == "RUNNING"
        assert points(runs()["diffusion"], "loss")[0] == (10, 0.1)


def test_stages_of_one_pipeline_run_share_a_parent_and_others_do_not(monkeypatch):
    for pipeline, stage in [("one", "diffusion"), ("one", "evaluate"), ("two", "evaluate")]:
        monkeypatch.setenv("PYRAMID_PIPELINE_RUN", pipeline)
        with track(stage, CONFIG) as tracked:
            tracked.log_scores({"near": {"distance": 1.5}})
    experiment = client().get_experiment_by_name("pyramid-diffusion")
    found = client().search_runs([experiment.experiment_id], order_by=["start_time ASC"])
    parents = [
        run.data.tags["mlflow.parentRunId"] for run in found if "pyramid.stage" in run.data.tags
    ]
    assert parents[0] == parents[1] != parents[2]
    metrics = client().get_run(parents[0]).data.metrics
    assert metrics["near/distance"] == 1.5
    assert {"cost/diffusion/wall_seconds", "cost/evaluate/wall_seconds"} <= set(metrics)


def test_what_is_not_finite_is_named_and_never_a_number():
    with track("diffusion", CONFIG, events=EVENTS) as tracked:
        EventLog(EVENTS).metrics({"loss": math.nan, "other": 1.0}, 10)
        tracked.log_scores({"distance": math.inf, "near": 2.0})
    run = runs()["diffusion"]
    assert not {"loss", "distance"} & set(run.data.metrics)
    assert run.data.metrics["near"] == 2.0
    assert run.data.tags["pyramid.nonfinite"] == "distance, loss"


@pytest.mark.parametrize(
    ("error", "status"),
    [(Preempted("later"), "KILLED"), (KeyboardInterrupt(), "KILLED"), (ValueError("x"), "FAILED")],
)
def test_a_run_that_does_not_end_well_is_never_finished(error, status):
    with contextlib.suppress(type(error)), track("diffusion", CONFIG, events=EVENTS):
        work()
        raise error
    assert runs()["diffusion"].info.status == status


def test_an_interrupted_run_goes_on_as_the_same_run_without_doubled_points():
    with contextlib.suppress(Preempted), track("diffusion", CONFIG, events=EVENTS):
        work(steps=(10, 20, 30))
        raise Preempted("checkpoint at 20")
    before = runs()
    with track("diffusion", CONFIG, events=EVENTS):
        work(steps=(30, 40), begin=20)
    after = runs()
    assert {run.info.run_id for run in before.values()} == {
        run.info.run_id for run in after.values()
    }
    assert [step for step, _ in points(after["diffusion"], "loss")] == [10, 20, 30, 40]
    assert after["diffusion"].info.status == "FINISHED"


def test_the_same_settings_trained_once_more_are_another_run():
    for _ in range(2):
        with track("diffusion", CONFIG, events=EVENTS):
            work(steps=(10, 20))
    experiment = client().get_experiment_by_name("pyramid-diffusion")
    found = client().search_runs([experiment.experiment_id], "attributes.run_name = 'diffusion'")
    assert [[step for step, _ in points(run, "loss")] for run in found] == [[10, 20], [10, 20]]


def test_a_run_names_its_commit_and_whether_files_differed_from_it():
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "empty"]):
        subprocess.run([*git, *arguments], check=True)
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    tags = runs()["diffusion"].data.tags
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert tags["pyramid.git.dirty"] == "true"


def test_pictures_are_kept_by_step_and_as_files():
    picture = EVENTS.parent / "pictures" / "10.png"
    picture.parent.mkdir(parents=True)
    Image.new("RGB", (8, 4)).save(picture)
    with track("diffusion", CONFIG, events=EVENTS) as tracked:
        EventLog(EVENTS).picture("samples", picture, 10)
        tracked.log_pictures(picture)
    run = runs()["diffusion"]
    files = [file.path for file in client().list_artifacts(run.info.run_id, "images")]
    assert any("samples" in path and "10" in path for path in files)
    assert [f.path for f in client().list_artifacts(run.info.run_id, "pictures")] == [
        "pictures/10.png"
    ]
    parent = run.data.tags["mlflow.parentRunId"]
    assert [f.path for f in client().list_artifacts(parent, "pictures")] == ["pictures/10.png"]
