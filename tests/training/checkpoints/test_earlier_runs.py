"""What a new run takes over from earlier ones, what it says of those that it leaves, what stays."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from stage_runs import TRAINING, Section, checkpoints, stage, stop_run
from torch import nn

from pdm import events
from pdm.files import sha256_of
from pdm.training.checkpoints import earlier_runs, finished
from pdm.training.checkpoints.run_record import RunRecord


def last_state(run: Path) -> dict[str, str]:
    """Digest of each file of the newest checkpoint, and of the snapshots of averages."""
    newest = run / "checkpoints" / checkpoints(run)[-1]
    files = [*newest.iterdir(), *(run / "checkpoints" / "ema").glob("*")]
    return {file.name: sha256_of(file) for file in files}


@pytest.fixture
def log_lines(caplog):
    """Lines of the log since the last call."""
    caplog.set_level(logging.INFO, logger="pdm.training.checkpoints")

    def log_lines():
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    return log_lines


@pytest.mark.parametrize("schedule", ["constant", "inverse_root"])
def test_a_stopped_run_with_more_total_images_continues_bit_for_bit_like_a_longer_run(
    tmp_path, log_lines, schedule
):
    settings = {"schedule": schedule, "warmup_images": 16, "ema_lengths": (0.1,)}
    longer = stage(tmp_path / "whole", total_images=96, **settings)
    log_lines()
    old = stop_run(tmp_path / "runs", 24, total_images=48, **settings)
    run = stage(tmp_path / "runs", total_images=96, **settings)
    assert log_lines() == [
        f"autoencoder: resuming from run {old.name} at 24 images; "
        "only training.total_images (48 -> 96) differs"
    ]
    assert last_state(run) == last_state(longer)
    logs = [
        [(event["images_seen"], event["values"].get("loss")) for event in events.read(log)]
        for log in (run / "events.jsonl", longer / "events.jsonl")
    ]
    assert logs[0] == logs[1]


def test_so_does_a_finished_one_and_its_model_is_still_there_when_the_number_is_set_back(tmp_path):
    runs, settings = tmp_path / "runs", {"ema_lengths": (0.05, 0.1), "keep_runs": 2}
    longer = stage(tmp_path / "whole", total_images=160, **settings)
    shorter = stage(runs, total_images=56, **settings)
    model = (tmp_path / "model" / "weights").read_bytes()
    run = stage(runs, total_images=160, **settings)
    assert run != shorter
    assert last_state(run) == last_state(longer)
    assert (tmp_path / "model" / "weights").read_bytes() != model
    assert stage(runs, total_images=56, **settings) == shorter
    assert (tmp_path / "model" / "weights").read_bytes() == model


def test_a_smaller_total_resumes_from_an_older_checkpoint_or_starts_over(tmp_path, log_lines):
    runs = tmp_path / "runs"
    shorter = stage(tmp_path / "whole", total_images=24)
    stop_run(runs, 32, total_images=96, keep_checkpoints=3)
    log_lines()
    run = stage(runs, total_images=24)
    assert "at 16 images" in log_lines()[0]
    assert last_state(run) == last_state(shorter)
    log_lines()
    stage(runs, total_images=8)
    assert log_lines()[0].endswith("(96 -> 8); it has no checkpoint that early; starting over")


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_where_the_schedule_depends_on_the_length_a_run_begins_anew_and_says_why(
    tmp_path, log_lines, schedule
):
    longer = stage(tmp_path / "whole", total_images=96, schedule=schedule)
    old = stop_run(tmp_path / "runs", 24, total_images=48, schedule=schedule)
    log_lines()
    run = stage(tmp_path / "runs", total_images=96, schedule=schedule)
    assert log_lines() == [
        f"autoencoder: run {old.name} stopped at 24 images; it differs in training.total_images "
        f"(48 -> 96); training.schedule: {schedule} depends on it; starting over"
    ]
    assert last_state(run) == last_state(longer)


def test_an_unfinished_run_that_is_left_behind_is_named_with_what_differs(tmp_path, log_lines):
    runs = tmp_path / "runs"
    old = stop_run(runs, 24)
    log_lines()
    stage(runs, learning_rate=0.2, seed=1)
    assert log_lines() == [
        f"autoencoder: run {old.name} stopped at 24 images; it differs in training.learning_rate "
        "(0.1 -> 0.2), training.seed (0 -> 1); starting over"
    ]


def test_of_a_finished_run_the_log_says_how_to_have_its_model_back(tmp_path, log_lines):
    runs = tmp_path / "runs"
    old = stage(runs, keep_runs=2)
    log_lines()
    stage(runs, data="1" * 64, keep_runs=2)
    assert log_lines() == [
        f"autoencoder: run {old.name} finished at 48 images; it differs in shards "
        "(000000000000... -> 111111111111...); training from the start. With its old settings, "
        f"its model is exported again in seconds from {old}"
    ]


def test_a_raised_version_is_another_run_and_is_named(tmp_path, log_lines):
    runs = tmp_path / "runs"
    old = stage(runs, keep_runs=2)
    record = json.loads((old / "run.json").read_text())
    older = runs / ("0" * 16)
    old.rename(older)
    (older / "run.json").write_text(json.dumps(record | {"version": record["version"] - 1}))
    log_lines()
    assert stage(runs, keep_runs=2) == old
    version = record["version"]
    assert f"it differs in version ({version - 1} -> {version})" in log_lines()[0]


def test_a_finished_run_is_exported_not_trained_again(tmp_path):
    runs = tmp_path / "runs"
    run = stage(runs)
    model = (tmp_path / "model" / "weights").read_bytes()
    (tmp_path / "model" / "weights").write_bytes(b"gone")

    class Untrainable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            raise AssertionError("it is trained again")

    assert stage(runs, model=Untrainable) == run
    assert (tmp_path / "model" / "weights").read_bytes() == model


def test_a_run_that_no_longer_keeps_anything_still_shows_what_differs(tmp_path, log_lines):
    runs = tmp_path / "runs"
    old = stage(runs, keep_runs=0)
    log_lines()
    stage(runs, learning_rate=0.2, keep_runs=0)
    assert log_lines()[0] == (
        f"autoencoder: run {old.name} is no longer kept; it differs in training.learning_rate "
        "(0.1 -> 0.2); training from the start"
    )
    stage(runs, keep_runs=0)
    assert "of these settings keeps neither its model nor a checkpoint" in log_lines()[-3]


def test_a_model_that_was_changed_since_is_made_again_from_the_last_checkpoint(tmp_path, log_lines):
    runs = tmp_path / "runs"
    run = stage(runs)
    model = (run / "model" / "weights").read_bytes()
    (run / "model" / "weights").write_bytes(b"changed")
    log_lines()
    assert not finished.export(run, tmp_path / "model")
    assert "has changed since its run finished" in log_lines()[0]
    (run / "model" / "weights").unlink()
    (run / "model").rmdir()
    stage(runs)
    assert (tmp_path / "model" / "weights").read_bytes() == model
    assert [line.split()[0] for line in (run / "events.jsonl").read_text().splitlines()]


def test_a_finished_run_keeps_its_last_and_its_best_checkpoint(tmp_path):
    run = stage(tmp_path / "runs", keep_checkpoints=3)
    assert checkpoints(run) == ["000000016", "000000048"]


def test_the_checkpoints_at_multiples_are_kept_also_when_the_run_has_finished(tmp_path):
    settings = {"save_every_images": 8, "keep_every_images": 24, "keep_checkpoints": 1}
    run = stage(tmp_path / "runs", total_images=80, **settings)
    assert checkpoints(run) == ["000000008", "000000024", "000000048", "000000072", "000000080"]


def test_a_longer_run_has_the_kept_checkpoints_of_a_run_from_the_start(tmp_path):
    settings = {"save_every_images": 8, "keep_every_images": 16, "keep_checkpoints": 1}
    whole = stage(tmp_path / "whole", total_images=96, **settings)
    stop_run(tmp_path / "runs", 40, total_images=80, **settings)
    run = stage(tmp_path / "runs", total_images=96, **settings)
    kept = [name for name in checkpoints(whole) if int(name) % 16 == 0]
    assert len(kept) == 6
    assert [name for name in checkpoints(run) if int(name) % 16 == 0] == kept
    for name in kept:
        file = f"checkpoints/{name}/MANIFEST.json"
        assert (run / file).read_bytes() == (whole / file).read_bytes()


def test_keeping_more_checkpoints_lets_a_run_go_on(tmp_path, log_lines):
    old = stop_run(tmp_path / "runs", 24, save_every_images=8)
    log_lines()
    run = stage(tmp_path / "runs", save_every_images=8, keep_every_images=16)
    assert run == old
    assert checkpoints(run)[-2:] == ["000000032", "000000048"]


def test_only_the_newest_finished_runs_keep_model_and_checkpoints(tmp_path):
    runs = tmp_path / "runs"
    unfinished = stop_run(runs, 24, seed=9)
    folders = [stage(runs, seed=seed, keep_runs=2) for seed in range(3)]
    assert [(run / "model").exists() for run in folders] == [False, True, True]
    assert [bool(checkpoints(run)) for run in folders] == [False, True, True]
    assert all((run / "events.jsonl").exists() for run in folders)
    assert checkpoints(unfinished)
    stage(runs, seed=3, keep_runs=0)
    assert not list(runs.glob("*/model"))
    assert (tmp_path / "model" / "weights").exists()


def test_a_setting_that_came_later_leaves_older_runs_their_names(tmp_path):
    config = Section(TRAINING)
    record = RunRecord.of("autoencoder", config, {"shards": "0"})
    other = Section(replace(TRAINING, schedule="linear"))
    old = replace(record, settings={k: v for k, v in record.settings.items() if "sched" not in k})
    assert record.differences(old, earlier_runs.neutral_settings(config)) == []
    changed = RunRecord.of("autoencoder", other, {"shards": "0"})
    [difference] = changed.differences(old, earlier_runs.neutral_settings(other))
    assert str(difference) == "training.schedule (constant -> linear)"
    assert changed.name != record.name
