"""Servers that do not answer, and processes that were killed: no point is lost or doubled."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scored_models import MODELS, draw, evaluate
from shared.privileges import permissions_count
from tracked_runs import CONFIG, EVENTS, client, local, points, runs, work
from tracked_servers import free_port, mlflow_server

from pdm import cli, params
from pdm.data.shards.manifest import Manifest
from pdm.errors import BadInput, Unavailable
from pdm.events import EventLog
from pdm.tracking.sync import sync
from pdm.tracking.track import track
from pdm.training.autoencoder import run_folder
from pdm.training.checkpoints.finished import finish

ROOT = Path(__file__).parents[2]


def test_a_closed_port_costs_seconds_and_sync_sends_the_lines_later(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    assert time.monotonic() - began < 15
    warnings = [text for text in caplog.messages if "cannot be reached" in text]
    assert len(warnings) == 1
    assert "runs/diffusion/abc" in warnings[0]
    assert "pyramid sync" in warnings[0]
    with pytest.raises(Unavailable, match="log lines stay"):
        sync(Path("runs"))

    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    assert "1 run " in sync(Path("runs"))
    assert "nothing" in sync(Path("runs"))
    assert [step for step, _ in points(runs()["diffusion"], "loss")] == [10, 20, 30]
    assert runs()["diffusion"].info.status == "FINISHED"


def test_a_server_that_never_answers_does_not_hold_the_work_up(monkeypatch, caplog):
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{hole.getsockname()[1]}")
        began = time.monotonic()
        with track("diffusion", CONFIG, events=EVENTS):
            work()
            worked = time.monotonic() - began
        assert worked < 2
        assert time.monotonic() - began < 14
        assert any("kept in runs/diffusion/abc" in text for text in caplog.messages)


def test_a_point_that_arrived_unnoticed_is_not_doubled():
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    record = EVENTS.parent / "tracking.json"
    values = json.loads(record.read_text())
    values["sent"]["steps"], values["sent"]["status"] = {}, "RUNNING"  # lost by a kill
    record.write_text(json.dumps(values))
    sync(Path("runs"))
    assert [step for step, _ in points(runs()["diffusion"], "loss")] == [10, 20, 30]


def test_a_run_whose_process_was_killed_is_closed_by_sync():
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    record = EVENTS.parent / "tracking.json"
    values = json.loads(record.read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    record.write_text(json.dumps(values | {"status": "RUNNING", "process": gone.pid}))
    sync(Path("runs"))
    assert runs()["diffusion"].info.status == "KILLED"


def test_a_folder_without_runs_is_not_one_of_which_everything_was_sent():
    with pytest.raises(BadInput, match="nowhere is not a folder of runs; name one with --runs"):
        sync(Path("nowhere"))


@pytest.fixture
def finished_training():
    """The folder of a run of `autoencoder` that has finished, and whose tracking has ended."""
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    Path("data/shards").mkdir(parents=True)
    Manifest({"train": [], "val": []}, {}).save(Path("data/shards"))
    config = params.load(Path("params.yaml")).autoencoder
    run = run_folder(config, shards=Path("data/shards"), runs=Path("runs/autoencoder"))
    (run / "model").mkdir(parents=True)
    (run / "model/config.json").write_text("{}")
    EventLog(run / "events.jsonl").metrics({"loss": 0.5}, 10)
    finish(run, config.training)
    with track("autoencoder", config, events=run / "events.jsonl"):
        pass
    return run


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED"])
def test_a_training_that_was_killed_after_its_end_is_closed_by_the_stages_next_run(
    finished_training, status
):
    run_id = runs()["autoencoder"].info.run_id
    client().update_run(run_id, status="RUNNING")
    record = finished_training / "tracking.json"
    values = json.loads(record.read_text())
    values["sent"]["status"] = "RUNNING"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    record.write_text(json.dumps(values | {"status": status, "process": gone.pid}))
    for _ in range(2):
        assert cli.main(["autoencoder"]) == 0
    ended = runs()
    assert ended["autoencoder"].info.run_id == run_id
    assert {name: run.info.status for name, run in ended.items()} == dict.fromkeys(
        ended, "FINISHED"
    )


@pytest.mark.parametrize("lost", ["promotion", "status"])
def test_an_evaluation_killed_after_its_end_goes_on_as_the_same_run_and_version(lost, monkeypatch):
    draw(b"weights")
    evaluate(3.0, monkeypatch)
    run_id = runs()["evaluate"].info.run_id
    client().update_run(run_id, status="RUNNING")
    (record,) = Path("runs/evaluate").glob("*/tracking.json")
    values = json.loads(record.read_text())
    values["sent"]["status"] = "RUNNING"
    if lost == "promotion":
        values["sent"]["promotion"] = {}
    record.write_text(json.dumps(values))
    evaluate(3.0, monkeypatch)
    assert runs()["evaluate"].info.run_id == run_id
    assert {run.info.status for run in runs().values()} == {"FINISHED"}
    versions = client().search_model_versions("name = 'pyramid-diffusion'")
    assert [(one.version, one.run_id) for one in versions] == [(1, run_id)]
    assert "nothing to send" in sync(Path("runs"))


def test_files_that_dvc_made_read_only_are_sent_again_after_a_kill(monkeypatch):
    draw(b"weights")
    (MODELS["diffusion"] / "lora").mkdir()
    (MODELS["diffusion"] / "lora" / "config.json").write_text("{}")
    Path("plots/tables").mkdir(parents=True)
    Path("plots/tables/scores.csv").write_text("one\n")
    for folder in (*MODELS.values(), Path("plots")):
        for file in folder.rglob("*"):
            if file.is_file():
                file.chmod(0o444)  # as with `cache.type hardlink`
    evaluate(3.0, monkeypatch)
    (record,) = Path("runs/evaluate").glob("*/tracking.json")
    values = json.loads(record.read_text())
    values["sent"] |= {"pictures": [], "samples": "", "promotion": {}}  # sent, but not recorded
    record.write_text(json.dumps(values))
    with permissions_count():
        assert "1 run" in sync(Path("runs"))
    assert "nothing to send" in sync(Path("runs"))
    run_id = runs()["evaluate"].info.run_id
    listed = [file.path for file in client().list_artifacts(run_id, "pictures/tables")]
    assert listed == ["pictures/tables/scores.csv"]


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back_ends_with_every_point_once(monkeypatch, caplog):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    model = Path("model")
    model.mkdir()
    (model / "config.json").write_text("{}")
    with track("diffusion", CONFIG, events=EVENTS) as tracked:
        with mlflow_server(port):
            work(steps=(10, 20))
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with contextlib.suppress(Exception):
                    if len(points(runs(uri)["diffusion"], "loss", uri)) == 2:
                        break
                time.sleep(1)
        work(steps=(30,), begin=20)
        tracked.log_model(model)
    assert any("cannot be reached" in text for text in caplog.messages)
    with mlflow_server(port):
        sync(Path("runs"))
        run = runs(uri)["diffusion"]
        assert [step for step, _ in points(run, "loss", uri)] == [10, 20, 30]
        assert run.info.status == "FINISHED"
        assert [f.path for f in client(uri).list_artifacts(run.info.run_id, "model")]
