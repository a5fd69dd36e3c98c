"""Promotion in MLflow's registry."""

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from scored_models import MODELS, draw, draw_with, evaluate
from tracked_runs import client, local, runs
from tracked_servers import free_port

from pdm import ema
from pdm.errors import BadInput
from pdm.scores.names import RANDOM_SCORE
from pdm.tracking.records.record import Record
from pdm.tracking.registry.champion import fetch_champion, promote
from pdm.tracking.registry.models import EMA_SNAPSHOTS
from pdm.tracking.sync import sync

NAME = "pyramid-diffusion"


def champion():
    return str(client().get_model_version_by_alias(NAME, "champion").version)


def test_the_alias_moves_to_the_better_and_stays_where_it_is_not_beaten(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    draw(b"one")
    evaluate(3.0, monkeypatch)
    assert champion() == "1"
    assert "version 1 is the champion: there was no champion before" in caplog.text

    draw(b"two")
    evaluate(4.0, monkeypatch)
    assert champion() == "1"
    assert "registry: not promoted: it is not better than version 1" in caplog.text
    run = runs()["evaluate"]
    assert run.data.tags["pyramid.promotion.outcome"] == "refused"
    assert "not better than version 1" in run.data.tags["pyramid.promotion.reason"]
    version = client().get_model_version(NAME, "2")
    assert version.tags["pyramid.promotion.outcome"] == "refused"
    assert version.run_id == run.info.run_id
    assert "promotion.json" in [f.path for f in client().list_artifacts(run.info.run_id)]

    draw(b"three")
    evaluate(2.0, monkeypatch)
    assert champion() == "3"
    folder = fetch_champion(Path("here"))
    assert (folder / "diffusion" / "model.safetensors").read_bytes() == b"three"
    assert (folder / "autoencoder" / "model.safetensors").read_bytes() == b"three"
    assert (folder / "samples.json").is_file()


class SlowClient(MlflowClient):
    """Gives another one time to read the champion before this one replaces it; version 2 takes
    longer."""

    both_read = threading.Barrier(2)

    def get_model_version_by_alias(self, name, alias):
        found = super().get_model_version_by_alias(name, alias)
        with contextlib.suppress(threading.BrokenBarrierError):
            self.both_read.wait(2)
        return found

    def set_registered_model_alias(self, name, alias, version):
        time.sleep(0.5 * (str(version) == "2"))
        super().set_registered_model_alias(name, alias, version)


def test_of_two_that_are_better_at_the_same_moment_the_best_becomes_the_champion(monkeypatch):
    draw(b"same")
    for score in (3.0, 2.0, 1.0):
        evaluate(score, monkeypatch)
    client().set_registered_model_alias(NAME, "champion", "1")
    records = {folder: Record.load(folder) for folder in Path("runs/evaluate").iterdir()}
    better = {
        folder: record for folder, record in records.items() if record.scores[RANDOM_SCORE] < 3.0
    }
    with ThreadPoolExecutor() as threads:
        begun = [
            threads.submit(promote, SlowClient(local(), local()), record, folder)
            for folder, record in better.items()
        ]
        decisions = [one.result() for one in begun]
    assert champion() == "3", decisions


def test_an_outage_leaves_the_decision_to_sync_which_takes_it_once(monkeypatch, caplog):
    draw(b"one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    evaluate(3.0, monkeypatch)
    assert time.monotonic() - began < 15
    assert "`pyramid sync` decides whether" in caplog.text

    caplog.set_level(logging.INFO)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    sync(Path("runs"))
    assert champion() == "1"
    assert "version 1 is the champion" in caplog.text
    assert "nothing" in sync(Path("runs"))
    assert len(client().search_model_versions(f"name = '{NAME}'")) == 1


def test_a_decision_that_was_cut_short_is_taken_up_with_the_same_version(monkeypatch):
    draw(b"one")
    evaluate(3.0, monkeypatch)
    [record] = Path("runs").glob("evaluate/*/tracking.json")
    values = json.loads(record.read_text())
    values["sent"]["promotion"] = {}  # lost by a kill
    record.write_text(json.dumps(values))
    sync(Path("runs"))
    assert len(client().search_model_versions(f"name = '{NAME}'")) == 1
    assert champion() == "1"


def test_models_that_were_trained_anew_before_the_decision_are_refused(monkeypatch):
    draw(b"one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    evaluate(3.0, monkeypatch)
    draw(b"two")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", local())
    sync(Path("runs"))
    tags = runs()["evaluate"].data.tags
    assert "no longer has the model that was scored" in tags["pyramid.promotion.reason"]
    with pytest.raises(MlflowException):
        champion()


def test_samples_of_another_model_register_nothing(monkeypatch, caplog):
    draw(b"one")
    (MODELS["diffusion"] / "model.safetensors").write_bytes(b"other")
    evaluate(3.0, monkeypatch)
    assert "not registered: the samples were not drawn by" in caplog.text
    assert client().search_model_versions(f"name = '{NAME}'") == []
    assert runs()["evaluate"].info.status == "FINISHED"


def test_without_a_champion_loading_says_what_to_do():
    with pytest.raises(BadInput, match="has no champion of 'pyramid-diffusion'"):
        fetch_champion(Path("here"))


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"ema_length": None}, False),
        ({"ema_length": 0.1}, True),
        ({"guide": {"kind": "ema", "ema_length": 0.1}}, True),
        ({"guide": {"kind": "model", "path": "other"}}, False),
    ],
)
def test_a_version_has_ema_snapshots_only_if_its_samples_need_them(settings, needed, monkeypatch):
    draw_with(**settings)
    evaluate(3.0, monkeypatch)
    folder = fetch_champion(Path("here"))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    expected = {"samples.json"} | {
        f"{stage}/{file}" for stage in MODELS for file in ("model.safetensors", "more/card.md")
    }
    average = {"diffusion/ema/000000016-0.1.safetensors"}
    assert found == expected | (average if needed else set())
    assert EMA_SNAPSHOTS == ema.FOLDER


def test_a_champion_whose_run_was_deleted_for_good_gives_way(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    draw(b"one")
    evaluate(3.0, monkeypatch)
    run_id = runs()["evaluate"].info.run_id
    client().delete_run(run_id)
    client()._tracking_client.store._hard_delete_run(run_id)  # as `mlflow gc` does
    draw(b"two")
    evaluate(4.0, monkeypatch)
    assert champion() == "2"
    assert "the run of version 1, the champion until now, was deleted" in caplog.text
    assert "nothing" in sync(Path("runs"))
