"""What may go wrong with a training and its checkpoints, and what must come of it."""

import json
import os
import shutil
import signal
import struct
import sys
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from points import CONFIG, Points, Regression
from safetensors.torch import load_file
from torch import nn
from worker_groups import run_group

from pdm.config.fields import MAY_CHANGE, fields_with
from pdm.config.fingerprint import fingerprint
from pdm.config.training.loop import TrainingConfig
from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.files import sha256_of
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

CPU = Workers(torch.device("cpu"))


def fresh(config=CONFIG) -> TrainState:
    torch.manual_seed(0)
    return TrainState(Regression(), config)


def trained(folder: Path, workers: Workers = CPU, config=CONFIG, data=None) -> TrainState:
    """Train on, or from the start."""
    state = fresh(config)
    restore_newest(state, checkpoints_of(folder, config), workers)
    run = RunFolder(folder, "points", config, workers, state.images_seen, lambda *_: 0.0)
    train(state, workers.wrap(state.model, config), data or Points(), config, run, workers)
    return state


def list_files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("0*"))


# the checkpoints


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


# the steps


def test_an_interruption_at_any_step_does_not_change_the_result(tmp_path):
    """At the start, within an epoch of twelve, at its end, and before the last step."""
    settings = replace(CONFIG, total_images=48, save_every_images=8, keep_checkpoints=9)
    unbroken = trained(tmp_path / "unbroken", config=settings).contents()
    ends = dict(unbroken.files["model"])
    ends = {name: tensor.clone() for name, tensor in ends.items()}
    for images_seen in (8, 24, 40, 48):
        folder = tmp_path / str(images_seen)
        shutil.copytree(tmp_path / "unbroken", folder)
        for name in list_files(folder):
            if int(name) > images_seen:
                shutil.rmtree(folder / "checkpoints" / name)
        found = trained(folder, config=settings).contents().files["model"]
        assert all(torch.equal(ends[name], tensor) for name, tensor in found.items()), images_seen


class TooLarge(Regression):
    """Runs out of memory on one worker."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def forward(self, x, y):
        if self.rank == 1 and float(x[0, 0]) != 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x, y)


class Poisoned(Points):
    """Its 20th point is no number: the second worker's, in the third step."""

    def load(self, positions):
        x, y = super().load(positions)
        return x, y * (float("nan") if 20 in positions else 1)


def train_on_poison(workers: Workers, folder: Path) -> list[float]:
    config = replace(CONFIG, accumulation=1)
    state = fresh(config)
    run = RunFolder(folder, "points", config, workers, 0, lambda *_: 0.0)
    try:
        train(state, workers.wrap(state.model, config), Poisoned(), config, run, workers)
    except QualityGate as error:
        return [state.images_seen, str(error), *state.model.layer.weight.flatten().tolist()]
    raise AssertionError("it trained on")


def test_a_loss_that_is_not_finite_on_one_worker_stops_all_with_the_weights_before_the_step(
    tmp_path,
):
    first, second = run_group(2, train_on_poison, tmp_path)
    assert first[2:] == second[2:]
    assert first[0] == second[0] <= 24  # the fault is known up to one step later
    assert "after 16 images: the loss is nan on the images point20, point21" in first[1]
    assert "checkpoints/000000016. Look at" in first[1]
    good = fresh()
    good.load(tmp_path / "checkpoints" / "000000016")
    assert good.model.layer.weight.flatten().tolist() == first[2:]


def train_too_large(workers: Workers, folder: Path) -> None:
    network = TooLarge(workers.rank)
    state = TrainState(network, CONFIG)
    run = RunFolder(folder, "points", CONFIG, workers, 0, lambda *_: 0.0)
    train(state, workers.wrap(network, CONFIG), Points(), CONFIG, run, workers)


def test_too_little_memory_on_one_worker_ends_all_and_says_what_may_help(tmp_path):
    first, second = run_group(2, train_too_large, tmp_path)
    assert isinstance(second, Unavailable)
    assert "too little memory for 2 images at once in float32" in str(second)
    assert "raise training.accumulation" in str(second)
    assert isinstance(first, Exception)  # it has lost its peer, and does not wait for it


class Unreadable(Points):
    """The second worker cannot read its images from this position on."""

    def __init__(self, rank: int, position: int) -> None:
        super().__init__()
        self.rank, self.position = rank, position

    def load(self, positions):
        if self.rank == 1 and positions.stop > self.position:
            raise QualityGate(f"image {self.position} is damaged")
        return super().load(positions)


class Losses(nn.Module):
    """Holds the model, as the losses of the real trainings do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x, y):
        return self.model(x, y)


# With one pass for each step and with two: an image of the first step, the second and a later one.
CASES = [(accumulation, position) for accumulation in (1, 2) for position in (0, 8, 24)]


def train_on_unreadable(workers: Workers, folder: Path, strategy: str) -> list[list]:
    """Each case in turn: images seen, the error's text, and seconds until the end."""
    found = []
    for accumulation, position in CASES:
        config = replace(
            CONFIG, num_workers=2, strategy=strategy, accumulation=accumulation, total_images=32
        )
        state = fresh(config)
        case = folder / f"{accumulation}-{position}"
        run = RunFolder(case, "points", config, workers, 0, lambda *_: 0.0)
        data, network = (
            Unreadable(workers.rank, position),
            workers.wrap(Losses(state.model), config),
        )
        before = time.monotonic()
        try:
            train(state, network, data, config, run, workers)
        except QualityGate as error:
            found.append([state.images_seen, str(error), time.monotonic() - before])
        else:
            raise AssertionError("it trained on")
    return found


# DDP rebuilds its buckets in the forward pass of the second step, and FSDP gathers weights in each:
# both wait for all workers there.
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_images_that_one_worker_cannot_read_end_all_workers_in_any_step(tmp_path, strategy):
    for found in run_group(2, train_on_unreadable, tmp_path, strategy):
        assert isinstance(found, list), found
        for (_, position), (images_seen, error, seconds) in zip(CASES, found, strict=True):
            assert images_seen == position
            assert f"after {position} images: image {position} is damaged" in error
            assert seconds < 20


# the number of workers, and other settings


@dataclass
class Section:
    training: TrainingConfig


def test_only_settings_that_change_no_result_let_a_run_go_on():
    before = fingerprint(Section(CONFIG), "data")
    assert fingerprint(Section(CONFIG), "other data") != before
    for name in (field.name for field in fields(TrainingConfig)):
        value = getattr(CONFIG, name)
        ones = ("num_workers", "accumulation", "warmup_images", "weight_decay", "seed")
        others = {
            "precision": "bfloat16",
            "batch_size": 4,
            "strategy": "fsdp",
            "optimizer": "muon",
            "betas": (0.9, 0.99),
            "schedule": "linear",
            "ema_lengths": (0.1,),
            "checkpoint_activations": True,
            "compile": True,
        }
        changed = others.get(name) or (1 if name in ones else 2 * value)
        found = fingerprint(Section(replace(CONFIG, **{name: changed})), "data")
        assert (found == before) == (name in fields_with(TrainingConfig, MAY_CHANGE)), name


def train_in_parts(workers: Workers, folder: Path, total_images: int) -> dict[str, list[float]]:
    config = replace(CONFIG, num_workers=workers.count, accumulation=1)
    config = replace(config, total_images=total_images)
    data = Points()
    state = trained(folder, workers, config, data)
    return {"seen": data.seen, "weights": state.model.layer.weight.flatten().tolist()}


def test_another_number_of_workers_resumes_with_the_same_images(tmp_path):
    """48 images by one worker, and 16 each by two, one and four: the same sequence, the same end
    but for rounding."""
    [one] = run_group(1, train_in_parts, tmp_path / "one", 48)
    seen, found = [], []
    for count, total_images in ((2, 16), (1, 32), (4, 48)):
        found = run_group(count, train_in_parts, tmp_path / "changing", total_images)
        seen += sorted(position for worker in found for position in worker["seen"])
    assert seen == sorted(one["seen"]) == list(range(48))
    for worker in found:
        assert worker["weights"] == pytest.approx(one["weights"], rel=1e-5)
