"""Deleted runs, changed values, and many processes at once."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tracked_runs import CONFIG, EVENTS, client, points, runs, work

from pdm.errors import Unavailable
from pdm.tracking.reader import Reader
from pdm.tracking.registry.champion import fetch_champion
from pdm.tracking.sync import sync
from pdm.tracking.track import track

PROCESSES = 8


def resend():
    """Make the kept record differ from what MLflow knows, and send it."""
    record = EVENTS.parent / "tracking.json"
    values = json.loads(record.read_text())
    values["scores"] = {"distance": 1.0}
    record.write_text(json.dumps(values))
    return sync(Path("runs"))


def test_a_stage_that_ran_with_other_values_does_not_stop_the_sending(monkeypatch):
    monkeypatch.setenv("PYRAMID_PIPELINE_RUN", "one")
    for text in ("curate: {min: 2, max: 1}", "curate: {min: 3, max: 1.0}"):
        Path("params.yaml").write_text(text)
        with track("evaluate", CONFIG) as tracked:
            tracked.log_scores({"distance": 1.0})
    run = runs()["evaluate"]
    assert run.info.status == "FINISHED"
    parent = client().get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.params["curate.min"] == "2"
    changed = {key: value for key, value in parent.data.tags.items() if "changed" in key}
    assert changed == {"pyramid.changed.curate.min": "3"}


def test_a_deleted_run_is_begun_again_and_names_the_one_before():
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    before = runs()["diffusion"].info.run_id
    client().delete_run(before)
    assert "1 run " in resend()
    after = runs()["diffusion"]
    assert after.info.run_id != before
    assert after.data.tags["pyramid.previous_run"] == before
    assert [step for step, _ in points(after, "loss")] == [10, 20, 30]


def test_a_folder_with_any_name_gets_its_own_database(tmp_path, monkeypatch):
    folder = tmp_path / "what #1, 100%20 é?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    assert (folder / "mlflow.db").is_file()
    record = json.loads((EVENTS.parent / "tracking.json").read_text())
    assert record["sent"]["status"] == "FINISHED"
    assert not list(tmp_path.glob("what*100%20 é"))


def test_a_deleted_experiment_makes_room_for_one_with_a_number(caplog):
    with track("diffusion", CONFIG, events=EVENTS):
        work()
    client().delete_experiment(client().get_experiment_by_name("pyramid-diffusion").experiment_id)
    with track("evaluate", CONFIG) as tracked:
        tracked.log_scores({"distance": 1.0})
    assert runs(name="pyramid-diffusion-2")["evaluate"].info.status == "FINISHED"
    assert "'pyramid-diffusion-2'" in caplog.text


@pytest.mark.slow
def test_eight_processes_may_be_the_first_to_use_a_database():
    Path("mlflow.db").unlink()
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from tracked_runs import CONFIG\n"
        "from pdm.tracking.track import track\n"
        "from pdm.tracking.sending import sender\n"
        "sender.SECONDS_TO_END_LOCALLY = 240\n"  # a busy machine starts eight MLflows slowly
        "events = Path('runs/diffusion') / sys.argv[1] / 'events.jsonl'\n"
        "with track('diffusion', CONFIG, events=events): pass\n"
    )
    here = str(Path(__file__).parent)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number), here],
            env=os.environ | {"PYRAMID_PIPELINE_RUN": "one"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * PROCESSES
    assert "cannot be reached" not in "".join(said)
    experiment = client().get_experiment_by_name("pyramid-diffusion").experiment_id
    found = client().search_runs([experiment], "attributes.run_name = 'diffusion'")
    assert [run.info.status for run in found] == ["FINISHED"] * PROCESSES


@pytest.mark.parametrize("fault", ["a folder", "not a database", "cut off"])
def test_a_database_that_cannot_be_opened_is_named_within_seconds(fault, monkeypatch, tmp_path):
    file = tmp_path / "damaged.db"
    if fault == "a folder":
        file.mkdir()
    else:
        content = (tmp_path / "mlflow.db").read_bytes()
        file.write_bytes(content[:60_000] if fault == "cut off" else b"x" * 4096)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    began = time.monotonic()
    for read in (Reader, lambda: fetch_champion(tmp_path / "models")):
        with pytest.raises(Unavailable, match=r"MLflow at sqlite:///.*damaged\.db"):
            read()
    assert time.monotonic() - began < 60  # MLflow alone would take 100 seconds for each
