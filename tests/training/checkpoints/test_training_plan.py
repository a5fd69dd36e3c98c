"""What a training is about to do, said before it begins."""

import json
from dataclasses import replace
from pathlib import Path

from stage_runs import TRAINING, Section, stage, stop_run

from pdm.training.checkpoints import finished
from pdm.training.checkpoints.plan import TrainingPlan, plan_training
from pdm.training.checkpoints.run_record import RunRecord


def plan(runs: Path, data: str = "0" * 64, **changes) -> TrainingPlan:
    config = Section(replace(TRAINING, **changes))
    record = RunRecord.of("autoencoder", config, {"shards": data})
    return plan_training(runs, record, config, runs.parent / "model")


def test_the_plan_says_what_a_stage_is_about_to_do(tmp_path):
    runs = tmp_path / "runs"
    assert plan(runs).action == "train"
    assert not runs.exists()
    stop_run(runs, 24)
    found = plan(runs)
    assert (found.action, found.images_seen) == ("resume", 24)
    run = stage(runs, keep_runs=2)
    before = sorted(path for path in tmp_path.rglob("*"))
    assert plan(runs).action == "restore"
    longer = plan(runs, total_images=96)
    assert (longer.action, longer.images_seen) == ("resume", 48)
    assert plan(runs, total_images=96, schedule="linear").action == "train"
    assert plan(runs, learning_rate=0.2).action == "train"
    assert plan(runs, data="1" * 64).action == "train"
    assert sorted(path for path in tmp_path.rglob("*")) == before
    (run / "model" / "weights").write_bytes(b"changed")
    assert plan(runs).action == "resume"  # from the last checkpoint


def test_the_plan_knows_what_the_last_run_cost_without_the_time_between_its_parts(tmp_path):
    runs = tmp_path / "runs"
    assert plan(runs).last is None
    run = stop_run(runs, 24)
    lines = (run / "events.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    for event in logged:
        if "images_per_second" in event["values"]:
            event["values"]["images_per_second"] = 0.01
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in logged))
    assert str(plan(runs, learning_rate=0.2).last) == "40:00 for 24 images"


def test_the_plan_knows_which_run_keeps_the_present_model_and_for_how_long(tmp_path):
    runs = tmp_path / "runs"
    run = stage(runs, keep_runs=2)
    for folder in (run / "model", tmp_path / "model"):
        (folder / "model.safetensors").write_bytes(b"weights")
    finished.finish(run, TRAINING)
    assert plan(runs, learning_rate=0.2, keep_runs=2).copy == run
    assert plan(runs, learning_rate=0.2, keep_runs=2).copy_stays
    assert not plan(runs, learning_rate=0.2, keep_runs=1).copy_stays
    (tmp_path / "model/model.safetensors").write_bytes(b"of another run")
    assert plan(runs, learning_rate=0.2).copy is None
