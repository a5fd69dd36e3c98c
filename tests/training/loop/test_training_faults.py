"""What may go wrong in the steps of a training, and what must come of it."""

import shutil
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import torch
from point_runs import fresh, list_files, trained
from points import CONFIG, Points, Regression
from shared.worker_groups import run_group
from torch import nn

from pdm.config.fields import MAY_CHANGE, fields_with
from pdm.config.fingerprint import fingerprint
from pdm.config.training.loop import TrainingConfig
from pdm.errors import QualityGate, Unavailable
from pdm.training.checkpoints.run_folder import RunFolder
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train


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
            "keep_every_images": CONFIG.save_every_images,
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
