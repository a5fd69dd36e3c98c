"""Learning-rate schedules, and which weights decay."""

import math
from dataclasses import replace

import pytest
import torch
from shared.training_settings import TRAINING
from torch import nn

from pdm.training.loop.state import TrainState
from pdm.training.loop.updates.optimizer import DiscriminatorTraining, learning_rate_at

CONFIG = replace(
    TRAINING, batch_size=4, total_images=48, warmup_images=8, learning_rate=0.05, log_every_images=8
)


def rates(schedule: str, **changes) -> list[float]:
    """Of every step of a run."""
    config = replace(CONFIG, schedule=schedule, **changes)
    starts = range(0, config.total_images, config.batch_size)
    return [learning_rate_at(seen, config.learning_rate, config) for seen in starts]


def test_a_constant_rate_rises_linearly_and_stays():
    assert rates("constant") == [0.025] + [0.05] * 11
    assert rates("constant", warmup_images=0) == [0.05] * 12


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_that_falls_to_zero_peaks_after_the_warmup_and_would_reach_it_at_the_end(
    schedule,
):
    found = rates(schedule)
    assert found[:2] == [0.025, 0.05]
    assert found[2] == 0.05
    assert found[2:] == sorted(set(found[2:]), reverse=True)
    config = replace(CONFIG, schedule=schedule)
    assert learning_rate_at(48, 0.05, config) == pytest.approx(0, abs=1e-12)


def test_the_schedules_have_the_values_of_their_formulas():
    config = replace(CONFIG, total_images=108)
    for seen in range(8, 108, 4):
        left = (108 - seen) / 100
        for schedule, expected in (
            ("linear", 0.05 * left),
            ("cosine", 0.05 * (1 + math.cos(math.pi * (1 - left))) / 2),
            ("inverse_root", 0.05 * math.sqrt(8 / (seen + 4))),
        ):
            found = learning_rate_at(seen, 0.05, replace(config, schedule=schedule))
            assert found == pytest.approx(expected), (schedule, seen)


def test_torchs_own_cosine_gives_the_same_rates_without_a_warmup():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=0.05)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
    expected = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    assert rates("cosine", warmup_images=0) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "inverse_root"])
def test_a_longer_run_has_the_same_rates_as_a_shorter_one(schedule):
    assert rates(schedule, total_images=96)[:12] == rates(schedule)


def test_a_network_that_starts_later_warms_up_from_there_and_ends_with_the_others():
    config = replace(CONFIG, schedule="linear")
    assert learning_rate_at(24, 1.0, config, start_images=24) == 0.5
    assert learning_rate_at(32, 1.0, config, start_images=24) == 1.0
    assert learning_rate_at(40, 1.0, config, start_images=24) == 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "inverse_root", "warmup_images": 0}, "warmup_images: expected above 0"),
        ({"schedule": "cosine", "warmup_images": 48}, "warmup_images: expected below total_images"),
        ({"betas": (0.9, 1.0)}, "betas.1: expected"),
    ],
)
def test_impossible_schedules_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **changes)


class Network(nn.Module):
    """Of every kind of weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.GroupNorm(2, 4)
        self.gain = nn.Parameter(torch.ones(4, 1, 1))
        self.scale = nn.Parameter(torch.ones(()))
        self.embedding = nn.Embedding(3, 4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_weights_decay_but_not_biases_norms_and_gains(optimizer):
    network = Network()
    before = {name: one.detach().clone() for name, one in network.named_parameters()}
    settings = replace(CONFIG, weight_decay=0.1, optimizer=optimizer)
    state = TrainState(network, settings)
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)  # so that nothing but the decay moves it
    state.networks[0].set_learning_rate(state.optimizer, 0.5)
    state.optimizer.step()
    for name, weight in network.named_parameters():
        left = 1 - 0.5 * 0.1 if name in ("conv.weight", "embedding.weight") else 1.0
        torch.testing.assert_close(weight.detach(), left * before[name], msg=name)


def test_the_model_and_its_discriminator_have_betas_and_rates_of_their_own():
    discriminator = DiscriminatorTraining(nn.Conv2d(1, 2, 3), 0.3, start_images=8)
    state = TrainState(Network(), replace(CONFIG, betas=(0.8, 0.9)), discriminator)
    for network, rate in zip(state.networks, (0.1, 0.2), strict=True):
        network.set_learning_rate(state.optimizer, rate)
    groups = state.optimizer.param_groups
    assert {(group["network"], group["lr"], group["betas"]) for group in groups} == {
        ("", 0.1, (0.8, 0.9)),
        ("_discriminator", 0.2, (0.5, 0.9)),
    }


class Classes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 32)
        self.matrix = nn.Linear(32, 32)


def test_muon_leaves_embeddings_to_adamw():
    """Whose step has the length of the learning rate in every entry with a gradient."""
    network = Classes()
    state = TrainState(network, replace(CONFIG, optimizer="muon", warmup_images=0))
    before = network.table.weight.detach().clone()
    network.matrix(network.table(torch.tensor([3, 7]))).square().mean().backward()
    state.optimizer.step()
    moved = (network.table.weight.detach() - before).abs()
    torch.testing.assert_close(moved[[3, 7]], torch.full((2, 32), 0.05), atol=1e-3, rtol=0)
    assert (moved[[0, 1, 2, 4]] == 0).all()
    assert "momentum" in state.optimizer.state[network.matrix.weight]
