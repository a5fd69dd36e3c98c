"""If MLflow, its registry or its artifact store refuses something, all else is still sent."""

import json
import logging
import sqlite3
from pathlib import Path

import pytest
from scored_models import draw, evaluate
from tracked_runs import CONFIG, EVENTS, client, points, runs, work

from pdm.errors import Unavailable
from pdm.events import EventLog
from pdm.tracking.registry.champion import fetch_champion
from pdm.tracking.sync import sync
from pdm.tracking.track import track


def records():
    return [json.loads(path.read_text()) for path in Path("runs").glob("*/*/tracking.json")]


def test_a_registry_that_fails_leaves_the_run_finished_and_scored(monkeypatch, caplog):
    with sqlite3.connect("mlflow.db") as database:
        database.execute("ALTER TABLE registered_models RENAME TO elsewhere")
    draw(b"one")
    evaluate(3.0, monkeypatch)
    run = runs()["evaluate"]
    assert run.info.status == "FINISHED"
    assert 3.0 in run.data.metrics.values()
    assert "did not register the model" in caplog.text
    assert "cannot be reached" not in caplog.text
    with pytest.raises(Unavailable, match="registration"):
        sync(Path("runs"))

    with sqlite3.connect("mlflow.db") as database:
        database.execute("ALTER TABLE elsewhere RENAME TO registered_models")
    sync(Path("runs"))
    assert client().get_model_version_by_alias("pyramid-diffusion", "champion").version == 1


def test_params_that_are_refused_leave_points_scores_and_status(caplog):
    with track("diffusion", {"of*fence": 1}, events=EVENTS) as tracked:
        work()
        tracked.log_scores({"distance": 1.5})
    run = runs()["diffusion"]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["distance"] == 1.5
    assert len(points(run, "loss")) == 3
    assert "refused params of this run" in caplog.text
    assert "of*fence" in caplog.text


def test_sync_continues_after_a_refused_record_and_names_it(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for number, params in enumerate(({"of*fence": 1}, CONFIG)):
        events = Path(f"runs/diffusion/{number}/events.jsonl")
        with track("diffusion", params, events=events):
            EventLog(events).metrics({"loss": 0.5}, 10)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{Path.cwd()}/mlflow.db")
    with pytest.raises(Unavailable, match=r"of 1 run .* 1 more.*\n  runs/diffusion/0: params"):
        sync(Path("runs"))
    experiment = client().get_experiment_by_name("pyramid-diffusion").experiment_id
    found = client().search_runs([experiment], "attributes.run_name = 'diffusion'")
    assert [run.info.status for run in found] == ["FINISHED", "FINISHED"]
    assert all("loss" in run.data.metrics for run in found)


@pytest.mark.parametrize("place", ["file:///proc/self/nowhere", "s3://no-such-bucket/nowhere"])
def test_an_artifact_store_that_cannot_be_written_costs_only_the_files(place, monkeypatch, caplog):
    client().create_experiment("closed", place)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "closed")
    draw(b"one")
    evaluate(3.0, monkeypatch)
    run = runs(name="closed")["evaluate"]
    assert run.info.status == "FINISHED"
    assert run.data.params["rate"] == "0.5"
    assert 3.0 in run.data.metrics.values()
    [said] = [text for text in caplog.messages if "cannot be written" in text]
    assert "`pyramid sync`" in said
    assert "\n" not in said


def test_files_that_a_store_forbids_are_kept_and_sent_by_sync(gate, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    gate.artifacts_are_closed = True
    uri = f"http://{gate.host}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "forbidden")
    draw(b"one")
    evaluate(3.0, monkeypatch)
    run = runs(uri, "forbidden")["evaluate"]
    assert run.info.status == "FINISHED"
    assert "403" in caplog.text, run.info.artifact_uri

    Path("plots/replicates.json").unlink()  # the next run of the stage replaces its outputs
    Path("models/diffusion/model.safetensors").unlink()
    with pytest.raises(Unavailable, match="403"):
        sync(Path("runs"))
    gate.artifacts_are_closed = False
    sync(Path("runs"))
    listed = {file.path for file in client(uri).list_artifacts(run.info.run_id, "pictures")}
    assert listed == {"pictures/replicates.json"}
    found = client(uri).get_model_version_by_alias("forbidden", "champion")
    assert found.run_id == run.info.run_id
    assert "version 1 is the champion" in caplog.text
    assert "nothing" in sync(Path("runs"))
    assert not list(Path("runs").glob("*/*/kept"))


def test_a_damaged_picture_does_not_stop_the_others(caplog):
    for step, content in ((10, b"no picture"), (20, None)):
        path = EVENTS.parent / f"{step}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if content:
            path.write_bytes(content)
    with track("diffusion", CONFIG, events=EVENTS):
        log = EventLog(EVENTS)
        for step in (10, 20):
            log.picture("samples", EVENTS.parent / f"{step}.png", step)
    assert runs()["diffusion"].info.status == "FINISHED"
    assert "10.png" in caplog.text
    assert "nothing" in sync(Path("runs"))


def test_a_server_on_this_machine_is_reached_past_a_proxy(gate, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.setenv("NO_PROXY", "")
    uri = f"http://{gate.host}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "proxied")
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    assert runs(uri, "proxied")["diffusion"].info.status == "FINISHED"


@pytest.mark.parametrize("end", ["", "/"])
def test_a_server_below_a_path_gets_all_of_a_run_and_its_champion_is_found(
    end, gate, monkeypatch, tmp_path
):
    gate.prefix = "/team/mlflow"
    name, uri = f"below a path {len(end)}", f"http://{gate.host}{gate.prefix}{end}"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    draw(f"weights {end}".encode())
    evaluate(3.0, monkeypatch)
    sync(Path("runs"))  # the rest, if the machine was too busy to send all in time
    run = runs(uri, name)["evaluate"]
    assert run.info.status == "FINISHED"
    assert client(uri).list_artifacts(run.info.run_id, "samples")
    champion = fetch_champion(tmp_path / "champion")
    assert (champion / "diffusion/model.safetensors").read_bytes() == f"weights {end}".encode()
