import json
import logging
from dataclasses import replace

import pytest
import torch
from shared.folders import file_digests
from shared.training_settings import TRAINING
from torch import nn

from pdm.training.checkpoints.folder import Checkpoints
from pdm.training.loop.state import TrainState

CONFIG = replace(
    TRAINING,
    total_images=64,
    learning_rate=0.1,
    log_every_images=4,
    save_every_images=4,
    keep_checkpoints=2,
)


def state_after(steps: int, optimizer: str = "adamw") -> TrainState:
    torch.manual_seed(0)
    state = new_state(optimizer)
    for _ in range(steps):
        take_step(state)
    return state


def new_state(optimizer: str) -> TrainState:
    """Of a matrix that is large enough for Muon, if Muon is asked for."""
    model = nn.Linear(*((20, 16) if optimizer == "muon" else (3, 2)))
    return TrainState(model, replace(CONFIG, optimizer=optimizer))


def take_step(state: TrainState) -> None:
    state.model(torch.randn(4, state.model.in_features)).square().sum().backward()
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.update_ema(8, 4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_state_is_restored_completely(tmp_path, optimizer):
    state = state_after(3, optimizer)
    state.save(tmp_path / "state")
    other = new_state(optimizer)
    other.load(tmp_path / "state")
    assert other.images_seen == 12
    for mine, theirs in ((state.model, other.model), (state.ema, other.ema)):
        assert all(
            torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True)
        )
    kept = [
        {name: value.tolist() for name, value in values.items()}
        for optimizer in (state.optimizer, other.optimizer)
        for values in optimizer.state.values()
    ]
    assert kept[:2] == kept[2:]
    for one in (state, other):
        torch.manual_seed(1)
        take_step(one)
    assert torch.equal(state.model.weight, other.model.weight)


def test_equal_states_give_equal_bytes(tmp_path):
    for name in "ab":
        state_after(2).save(tmp_path / name)
    assert file_digests(tmp_path / "a") == file_digests(tmp_path / "b")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "no manifest"])
def test_a_damaged_checkpoint_is_skipped_and_reported(tmp_path, caplog, damage):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for steps in (1, 2):
        checkpoints.save(state_after(steps))
    file = tmp_path / "000000008" / "ema.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-1])
    elif damage == "flip":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage == "remove":
        file.unlink()
    else:
        (tmp_path / "000000008" / "MANIFEST.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest() == 4
    assert "000000008" in caplog.text
    with pytest.raises(ValueError, match="000000008"):
        state_after(0).load(tmp_path / "000000008")


def test_only_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for steps in (1, 2, 3, 4):
        checkpoints.save(state_after(steps))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000012", "000000016"]


def test_an_incomplete_checkpoint_is_ignored(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(state_after(1))
    half = tmp_path / ".tmp-000000008"
    half.mkdir()
    (half / "state.json").write_text(json.dumps({"images_seen": 8}))
    assert checkpoints.newest() == 4


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    state_after(1).save(tmp_path / "state")
    with pytest.raises(ValueError, match="does not fit the model"):
        TrainState(nn.Linear(4, 2), CONFIG).load(tmp_path / "state")


def test_the_average_weighs_half_as_much_one_half_life_ago():
    model = nn.Linear(1, 1, bias=False)
    state = TrainState(model, CONFIG)
    values = [3.0, -1.0, 2.0, 5.0, 0.5]
    for value in values:
        nn.init.constant_(model.weight, value)
        state.update_ema(half_life_images=8, batch_size=4)  # two steps halve
    weights = [0.5 ** (age / 2) for age in reversed(range(5))]
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert next(state.ema.parameters()).item() == pytest.approx(expected, rel=1e-6)


def test_the_average_forgets_the_initial_weights_at_once():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1000.0)
    state = TrainState(model, CONFIG)
    nn.init.constant_(model.weight, 1.0)
    state.update_ema(half_life_images=1_000_000, batch_size=4)
    assert next(state.ema.parameters()).item() == pytest.approx(1.0, rel=1e-4)


def test_the_next_step_is_the_same_after_a_load_whatever_the_memory_order(tmp_path):
    def fresh() -> TrainState:
        torch.manual_seed(0)
        return TrainState(nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last), CONFIG)

    def step(state: TrainState, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        state.model(torch.randn(2, 4, 8, 8, generator=generator)).square().sum().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()

    unbroken, resumed = fresh(), fresh()
    step(unbroken, 1)
    unbroken.save(tmp_path / "state")
    resumed.load(tmp_path / "state")
    for state in (unbroken, resumed):
        step(state, 2)
    assert torch.equal(unbroken.model.weight, resumed.model.weight)
