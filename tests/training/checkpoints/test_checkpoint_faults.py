"""What may go wrong with the checkpoints of a training, and what must come of it."""

import json
import math
import os
import shutil
import signal
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import stage_runs
import torch
from point_runs import CPU, fresh, list_files, trained
from points import CONFIG, Points
from safetensors.torch import load_file
from torch import nn

from pdm import events
from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.files import sha256_of
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train


def damage(kind: str, path: Path) -> None:
    if kind == "empty folder":
        shutil.rmtree(path)
        path.mkdir()
    elif kind == "link to itself":
        shutil.rmtree(path)
        path.symlink_to(path.name)
    elif kind == "no mapping":
        (path / "MANIFEST.json").write_text("[]")
    else:
        file = path / "optimizer.safetensors"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("kind", ["empty folder", "link to itself", "no mapping", "flipped bit"])
def test_if_the_newest_checkpoint_is_damaged_the_one_before_is_used_with_the_same_result(
    tmp_path, kind
):
    unbroken = trained(tmp_path / "unbroken").contents()
    trained(tmp_path / "run", config=replace(CONFIG, total_images=32))
    assert list_files(tmp_path / "run") == ["000000016", "000000032"]
    damage(kind, tmp_path / "run" / "checkpoints" / "000000032")
    found = trained(tmp_path / "run").contents()
    for file, tensors in unbroken.files.items():
        assert all(torch.equal(one, found.files[file][name]) for name, one in tensors.items())


def test_with_all_checkpoints_damaged_the_run_does_not_start_over_by_itself(tmp_path):
    trained(tmp_path, config=replace(CONFIG, total_images=32))
    for name in list_files(tmp_path):
        (tmp_path / "checkpoints" / name / "model.safetensors").write_bytes(b"")
    with pytest.raises(QualityGate, match="damaged; restore one, or remove the folder"):
        trained(tmp_path)


def test_a_checkpoint_of_another_network_is_refused_and_named(tmp_path):
    trained(tmp_path, config=replace(CONFIG, total_images=16))
    state = TrainState(nn.Linear(4, 4), CONFIG)
    with pytest.raises(BadInput, match=r"000000016 does not fit the model: .*layer\.weight"):
        restore_newest(state, checkpoints_of(tmp_path, CONFIG), CPU)


@pytest.mark.parametrize("name", ["model", "ema", "optimizer"])
def test_a_file_that_lies_about_its_length_is_refused_at_once(tmp_path, name):
    state = fresh()
    state.save(tmp_path / "state")
    file = tmp_path / "state" / f"{name}.safetensors"
    file.write_bytes(struct.pack("<Q", 100 << 30) + b"{}")
    forge_manifest(tmp_path / "state")
    with pytest.raises(ValueError, match="does not fit the model"):
        state.load(tmp_path / "state")


def forge_manifest(folder: Path) -> None:
    names = [path.name for path in folder.iterdir() if path.name != "MANIFEST.json"]
    digests = {name: sha256_of(folder / name) for name in names}
    (folder / "MANIFEST.json").write_text(json.dumps(digests))


def test_a_pickle_in_place_of_weights_is_never_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    state = fresh()
    state.save(tmp_path / "state")
    torch.save(Hostile(), tmp_path / "state" / "model.safetensors")
    forge_manifest(tmp_path / "state")
    with pytest.raises(ValueError, match="does not fit the model"):
        state.load(tmp_path / "state")
    assert not (tmp_path / "ran").exists()


def test_a_score_that_is_not_finite_is_never_the_best(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    for images_seen, score in ((4, math.nan), (8, 2.0), (12, -math.inf), (16, math.nan)):
        checkpoints.record_score(images_seen, score)
        assert checkpoints.best() == (None if images_seen == 4 else 8)
    assert caplog.text.count("the score of the checkpoint") == 3


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.parametrize("at", [8, 16, 24])
def test_a_checkpoint_that_was_being_scored_is_scored_by_the_next_run(tmp_path, monkeypatch, at):
    def score_and_die(state, log):
        checkpoint = f"runs/*/checkpoints/{at:09}/MANIFEST.json"
        while state.images_seen == at:
            if list((tmp_path / "broken").glob(checkpoint)):
                os._exit(9)
            time.sleep(0.01)
        return finished_score(state, log)

    changes = {"total_images": 24, "save_every_images": 8, "keep_checkpoints": 1}
    unbroken = stage_runs.stage(tmp_path / "unbroken" / "runs", **changes)
    finished_score = stage_runs.score
    with monkeypatch.context() as patched:
        patched.setattr(stage_runs, "score", score_and_die)
        child = os.fork()
        if not child:
            stage_runs.stage(tmp_path / "broken" / "runs", **changes)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    broken = stage_runs.stage(tmp_path / "broken" / "runs", **changes)
    for name in ("best.json", "scored.json"):
        ours, theirs = (run / "checkpoints" / name for run in (unbroken, broken))
        assert ours.read_bytes() == theirs.read_bytes()
    ours, theirs = (scored(events.read(run / "events.jsonl")) for run in (unbroken, broken))
    assert ours == theirs == [8, 16, 24]


def scored(log: list[dict]) -> list[int]:
    return [one["images_seen"] for one in log if "score" in one.get("values", {})]


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path):
    checkpoints, state = Checkpoints(tmp_path, keep=2), fresh()
    for images_seen, score in ((8, 3.0), (16, 1.0), (24, 2.0), (32, 1.5), (40, 1.0)):
        state.images_seen = images_seen
        checkpoints.begin(state)
        checkpoints.record_score(images_seen, score)
    checkpoints.flush()
    names = sorted(path.name for path in tmp_path.glob("0*"))
    assert names == ["000000016", "000000032", "000000040"]


class SlowCheckpoints(Checkpoints):
    def _keep(self, contents, marks):
        time.sleep(0.3)
        super()._keep(contents, marks)


def test_weights_wait_for_the_checkpoint_that_is_being_written(tmp_path):
    checkpoints, state = SlowCheckpoints(tmp_path, keep=2), fresh()
    for images_seen in (8, 16):
        state.wait_for_reader()
        torch.nn.init.constant_(state.model.layer.weight, images_seen)
        state.images_seen = images_seen
        checkpoints.begin(state)
    checkpoints.flush()
    for images_seen in (8, 16):
        found = load_file(checkpoints.path(images_seen) / "model.safetensors")
        assert (found["layer.weight"] == images_seen).all()


def test_a_step_does_not_overtake_the_checkpoint_that_is_being_written(tmp_path):
    """The bytes of every checkpoint are those of a run that waits for each."""
    config = replace(CONFIG, keep_checkpoints=9)
    trained(tmp_path / "fast", config=config)
    state = fresh(config)
    run = RunFolder(tmp_path / "slow", "points", config, CPU, 0, lambda *_: 0.0)
    run.checkpoints = SlowCheckpoints(run.checkpoints.folder, keep=9)
    train(state, state.model, Points(), config, run, CPU)
    names = list_files(tmp_path / "fast")
    assert names == list_files(tmp_path / "slow")
    for name in names:
        fast, slow = (tmp_path / one / "checkpoints" / name for one in ("fast", "slow"))
        assert (fast / "MANIFEST.json").read_bytes() == (slow / "MANIFEST.json").read_bytes()


def killed_at_each_file_operation(folder: Path) -> None:
    """Save a second checkpoint again and again, each time killed one operation later."""
    for number in range(1, 200):
        child = os.fork()
        if child == 0:
            try:
                count_down(number)
                state = fresh()
                state.images_seen = 32
                Checkpoints(folder, keep=1)._keep(state.contents(), None)
                os._exit(0)
            finally:
                os._exit(1)  # nothing of the tests may run in the child
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert Checkpoints(folder, keep=1).newest() in (16, 32), number
    raise AssertionError("it never came to its end")


def count_down(number: int) -> None:
    """Kill this process before its n-th operation on a file."""
    left = [number]

    def hook(event: str, _: object) -> None:
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_kill_at_any_moment_of_saving_leaves_a_complete_checkpoint(tmp_path):
    state = fresh()
    state.images_seen = 16
    Checkpoints(tmp_path, keep=1).save(state)
    killed_at_each_file_operation(tmp_path)
    assert Checkpoints(tmp_path, keep=1).newest() == 32
    assert sorted(path.name for path in tmp_path.glob("0*")) == ["000000032"]


def test_a_disk_that_fills_up_ends_the_run_and_the_older_checkpoints_stay(tmp_path, monkeypatch):
    trained(tmp_path, config=replace(CONFIG, total_images=16))
    # A folder in the way of the file: the same error path as a full disk, on any machine.
    (tmp_path / "checkpoints" / ".lock-000000032").mkdir()
    with pytest.raises(Unavailable, match=r"no checkpoint could be written .* are still there"):
        trained(tmp_path)
    assert list_files(tmp_path) == ["000000016"]
