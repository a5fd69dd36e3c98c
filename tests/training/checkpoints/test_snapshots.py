"""Snapshots of the averages: which a run keeps, and what a model's folder gets of them."""

import pytest
import torch
from safetensors.torch import save_file

from pdm import ema
from pdm.training.checkpoints.snapshots import Marks, for_model

BATCH = 8
LENGTHS = (0.05, 0.1)


def snapshots_after(folder, steps: int, save_every: int, lengths=LENGTHS, path=None) -> list[int]:
    """Runs a training's marks, from a checkpoint to the next; gives progress in images."""
    marks = Marks(lengths, BATCH, save_every * BATCH)
    means = {length: torch.zeros(50) for length in lengths}
    for step in range(1, steps + 1):
        for length, mean in means.items():
            if path is not None:
                mean.lerp_(path[step - 1], 1 - ema.decay_at(step, length))
        seen = step * BATCH
        if marks.include(seen):
            for length, mean in means.items():
                ema.write_snapshot(folder / ema.snapshot_name(seen, length), {"weight": mean})
            marks.thin(folder, seen)
    checkpoint = folder.parent / f"{steps * BATCH:09}"
    checkpoint.mkdir(parents=True, exist_ok=True)
    for length, mean in means.items():
        save_file({"weight": mean}, checkpoint / f"ema-{length}.safetensors")
    return sorted({one.images_seen for one in ema.snapshots_in(folder)})


@pytest.mark.parametrize("save_every", [1, 3, 10])
@pytest.mark.parametrize("steps", [1, 7, 16, 17, 33, 100, 257])
def test_between_eight_and_sixteen_marks_stand_evenly_over_the_run(tmp_path, steps, save_every):
    found = snapshots_after(tmp_path / "ema", steps, save_every, lengths=(0.1,))
    assert all(seen % (save_every * BATCH) == 0 for seen in found)
    assert len(found) <= 16
    if steps >= 16 * save_every:
        assert len(found) >= 8
        gaps = [after - before for before, after in zip([0, *found], found, strict=False)]
        assert max(gaps) - min(gaps) <= 2 * save_every * BATCH


def test_an_extended_run_has_the_marks_of_a_longer_one(tmp_path):
    folder = tmp_path / "ema"
    for steps in (40, 100, 230):
        snapshots_after(folder, steps, 3)
    # The second and third begin anew over the files of the one before, as a stopped run's do.
    assert snapshots_after(folder, 500, 3) == snapshots_after(tmp_path / "other" / "ema", 500, 3)


def test_a_checkpoint_between_the_regular_ones_is_not_scored():
    marks = Marks(LENGTHS, BATCH, 10 * BATCH)
    assert [step for step in range(1, 31) if marks.include(step * BATCH)] == [10, 20, 30]


@pytest.fixture(scope="module")
def path():
    """A training's weights as a walk that slows down, (steps, 50)."""
    generator = torch.Generator().manual_seed(0)
    sizes = torch.linspace(1, 0.1, 800)[:, None]
    return (sizes * torch.randn(800, 50, generator=generator)).cumsum(0)


def direct(path, length: float) -> torch.Tensor:
    mean = torch.zeros(50)
    for step in range(1, len(path) + 1):
        mean.lerp_(path[step - 1], 1 - ema.decay_at(step, length))
    return mean


@pytest.fixture
def model(tmp_path, path):
    """A model's folder, with what is exported of a run of 800 steps."""
    run = tmp_path / "run"
    snapshots_after(run / "checkpoints" / "ema", 800, 10, path=path)
    with for_model(run, LENGTHS, 800 * BATCH) as folder:
        folder.rename(tmp_path / ema.FOLDER)
    return tmp_path


def test_a_model_gets_fewer_snapshots_than_the_run_keeps(model):
    kept = ema.snapshots_in(model / "run" / "checkpoints" / "ema")
    exported = ema.snapshots_in(model / ema.FOLDER)
    assert len(kept) == 24
    assert len(exported) == 11
    end = [one.length for one in exported if one.images_seen == 6400]
    assert end == [0.03, 0.05, 0.1, 0.14, 0.2]
    earlier = sorted({one.images_seen for one in exported} - {6400})
    assert [seen / 6400 for seen in earlier] == pytest.approx([1 / 8, 1 / 4, 1 / 2], abs=0.05)


@pytest.mark.parametrize("length", [0.03, 0.04, 0.05, 0.07, 0.1, 0.13, 0.17, 0.2])
def test_any_length_is_put_together_from_them_nearly_as_it_would_have_been_tracked(
    model, path, length
):
    expected, found = direct(path, length), ema.load_ema(model, length)["weight"]
    scale = (expected - path[-1]).norm()
    assert (found - expected).norm() < 0.06 * scale


def test_where_a_run_has_few_marks_a_model_gets_all_of_them(tmp_path):
    run = tmp_path / "run"
    assert snapshots_after(run / "checkpoints" / "ema", 40, 10) == [80, 160, 240, 320]
    with for_model(run, LENGTHS, 320) as folder:
        found = {(one.images_seen, one.length) for one in ema.snapshots_in(folder)}
    assert found == {(seen, length) for seen in (80, 160, 240, 320) for length in LENGTHS}
    assert not list(run.glob(".tmp-*"))


def test_without_tracked_lengths_there_is_nothing_to_export(tmp_path):
    with for_model(tmp_path, (), 320) as folder:
        assert not folder.exists()
