"""The disk space of a training's checkpoints, known before its first step."""

import shutil
from collections import namedtuple
from dataclasses import replace

import pytest
import torch
from shared.training_settings import TRAINING
from torch import nn

from pdm.errors import Unavailable
from pdm.training.checkpoints.disk_space import bytes_to_come, check_disk_space, checkpoint_bytes
from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.checkpoints.snapshots import Marks
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState

CPU = Workers(torch.device("cpu"))
Usage = namedtuple("Usage", "total used free")
HEADERS = 3000  # bytes, at most, of all files of a checkpoint
PLAIN = replace(
    TRAINING, batch_size=4, total_images=160, save_every_images=4, keep_checkpoints=2
)  # 40 checkpoints


def new_state(config=PLAIN):
    return TrainState(nn.Linear(100, 100), config)


def take_step(state):
    state.model(torch.ones(4, 100)).square().sum().backward()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.update_ema(8, 4)


def num_to_come(config, folder, images_seen=0):
    """Checkpoints for which space is asked for, where there are no EMA snapshots."""
    state = new_state(config)
    state.images_seen = images_seen
    return bytes_to_come(state, Checkpoints(folder, 2), config) / checkpoint_bytes(state)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_size_of_a_checkpoint_is_known_before_the_first_step(tmp_path, optimizer):
    state = new_state(replace(PLAIN, optimizer=optimizer, ema_lengths=(0.1,)))
    known = checkpoint_bytes(state)
    take_step(state)
    state.save(tmp_path / "state")
    written = sum(file.stat().st_size for file in (tmp_path / "state").glob("*.safetensors"))
    assert 0 < written - known < HEADERS
    assert checkpoint_bytes(state) == known


def test_space_is_needed_for_the_newest_the_best_the_next_and_those_at_multiples(tmp_path):
    assert num_to_come(PLAIN, tmp_path) == 2 + 1 + 1
    assert num_to_come(replace(PLAIN, keep_every_images=40), tmp_path) == 4 + 4
    assert num_to_come(replace(PLAIN, keep_every_images=4), tmp_path) == 40  # all of them
    assert num_to_come(replace(PLAIN, save_every_images=80), tmp_path) == 2  # no more are written


def test_checkpoints_that_are_there_make_room_for_new_ones_unless_they_are_kept(tmp_path):
    folder = tmp_path / "checkpoints"
    for images_seen in (40, 76, 80):
        (folder / f"{images_seen:09}").mkdir(parents=True)
    assert num_to_come(PLAIN, folder, 80) == 4 - 3
    assert num_to_come(replace(PLAIN, keep_every_images=40), folder, 80) == 2 + 4 - 1
    assert num_to_come(PLAIN, folder, 160) == 0


def test_a_whole_training_takes_about_the_space_that_was_asked_for(tmp_path):
    config = replace(PLAIN, ema_lengths=(0.05, 0.1), keep_every_images=40)
    state, folder = new_state(config), tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder, config.keep_checkpoints, config.keep_every_images)
    marks = Marks(config.ema_lengths, config.batch_size, config.save_every_images)
    known, most = bytes_to_come(state, checkpoints, config), 0
    while state.images_seen < config.total_images:
        take_step(state)
        checkpoints.begin(state, marks)
        state.wait_for_reader()
        checkpoints.flush()
        checkpoints.record_score(state.images_seen, float(state.images_seen))
        most = max(most, sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()))
    # The next checkpoint is for a while there as well, and at first there are more EMA snapshots.
    assert most < known < 1.6 * most


def test_a_training_whose_checkpoints_do_not_fit_is_not_begun(tmp_path, monkeypatch):
    state, checkpoints = new_state(), Checkpoints(tmp_path / "checkpoints", 2)
    free = 5 * checkpoint_bytes(state)  # four, and a fifth more
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2 * free, free, free))
    check_disk_space(state, checkpoints, PLAIN, CPU)
    more = replace(PLAIN, keep_every_images=40)
    with pytest.raises(Unavailable, match=rf"need .* have .* at {tmp_path}.*nothing was started"):
        check_disk_space(state, checkpoints, more, CPU)
