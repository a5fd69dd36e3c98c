from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from pdm import params
from pdm.config.stages.autoencoder import AdversarialConfig, PerceptualConfig
from pdm.training.objectives.adversarial import (
    AdversarialLoss,
    adaptive_weight,
    build_adversary,
    hinge,
)
from pdm.training.objectives.perceptual import load_perceptual

SHIPPED = params.load(Path(__file__).parents[3] / "params.yaml")
CONFIG = AdversarialConfig(start_images=8, weight=0.5, width=8, num_layers=2, learning_rate=1e-3)


@pytest.fixture
def adversary():
    torch.manual_seed(0)
    return AdversarialLoss(CONFIG)


@pytest.fixture
def last():
    """The last layer of an autoencoder."""
    torch.manual_seed(1)
    return nn.Conv2d(3, 3, 3, padding=1)


def played(adversary, last, images_seen=8):
    """Loss and terms of one turn, with what the autoencoder made of the pictures."""
    wanted = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    found = last(wanted)
    reconstruction = (found - wanted).abs().mean()
    return adversary((found,), (wanted,), reconstruction, last.weight, images_seen)


def gradients(network):
    return [weight.grad for weight in network.parameters()]


@pytest.mark.parametrize(
    ("real", "found", "expected"),
    [(2.0, -2.0, 0.0), (1.0, -1.0, 0.0), (0.0, 0.0, 1.0), (-1.0, 1.0, 2.0), (1.0, 0.0, 0.5)],
)
def test_the_hinge_rests_beyond_one(real, found, expected):
    assert hinge(torch.full((3,), real), torch.full((5,), found)).item() == expected


def test_the_adaptive_weight_makes_both_pull_alike():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    reconstruction, generator = 3 * weight[0] + 4 * weight[1], 0.1 * weight[0]
    found = adaptive_weight(reconstruction, generator, weight)
    assert found.item() == pytest.approx(5 / (0.1 + 1e-4))
    assert not found.requires_grad


def test_the_adaptive_weight_has_a_limit():
    weight = torch.tensor([1.0], requires_grad=True)
    assert adaptive_weight(1e6 * weight.sum(), 0 * weight.sum(), weight).item() == 1e4


def test_the_loss_is_the_weighted_game_of_both(adversary, last):
    loss, terms = played(adversary, last)
    assert set(terms) == {"generator", "discriminator", "adversarial_weight"}
    assert loss.item() == pytest.approx(
        (terms["adversarial_weight"] * terms["generator"] + terms["discriminator"]).item()
    )


def test_the_pull_on_the_autoencoder_is_its_share_of_the_reconstructions(adversary, last):
    loss, _ = played(adversary, last)
    loss.backward()
    pull = last.weight.grad.clone()
    wanted = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1
    (other,) = torch.autograd.grad((last(wanted) - wanted).abs().mean(), last.weight)
    assert pull.norm().item() == pytest.approx(0.5 * other.norm().item(), rel=0.02)


def test_each_network_is_trained_by_its_own_loss_only(adversary, last):
    loss, _ = played(adversary, last)
    loss.backward()
    both = gradients(adversary.discriminator)
    adversary.zero_grad(set_to_none=True)
    _, terms = played(adversary, last)
    terms["discriminator"].backward()
    for found, expected in zip(both, gradients(adversary.discriminator), strict=True):
        torch.testing.assert_close(found, expected)
    last.zero_grad(set_to_none=True)
    _, terms = played(adversary, last)
    terms["discriminator"].backward()
    assert gradients(last) == [None, None]


def test_before_its_start_the_discriminator_is_not_evaluated(adversary, last):
    loss, terms = played(adversary, last, images_seen=7)
    assert loss.item() == 0
    assert terms == {}
    loss.backward()
    assert gradients(last) == [None, None]
    assert all(gradient is not None and not gradient.any() for gradient in gradients(adversary))


# projected

PROJECTED = AdversarialConfig(
    kind="projected", start_images=8, weight=0.1, width=8, learning_rate=1e-3
)


@pytest.fixture(scope="module")
def perceptual():
    config = PerceptualConfig(network="efficientnet-lite0", weight=1.0)
    return load_perceptual(config, torch.device("cpu"))


@pytest.fixture
def projected(perceptual):
    torch.manual_seed(0)
    return AdversarialLoss(PROJECTED, perceptual.network.channels)


def grain(seed, amount=0.3):
    generator = torch.Generator().manual_seed(seed)
    return amount * torch.randn(4, 3, 32, 32, generator=generator)


def game(projected, perceptual, found, wanted, images_seen=8):
    distance, ours, theirs = perceptual.compare(found, wanted)
    return projected(ours, theirs, distance, None, images_seen)


def test_features_come_with_the_same_distance_as_without(perceptual):
    found, wanted = grain(0), grain(1)
    assert torch.equal(perceptual.compare(found, wanted)[0], perceptual(found, wanted))


def test_its_loss_has_the_weight_of_the_params(projected, perceptual):
    loss, terms = game(projected, perceptual, grain(0), grain(1))
    assert set(terms) == {"generator", "discriminator"}
    expected = 0.1 * terms["generator"] + terms["discriminator"]
    torch.testing.assert_close(loss, expected)


def test_features_train_the_autoencoder_by_the_generators_loss_only(projected, perceptual):
    found = grain(0).requires_grad_()
    game(projected, perceptual, found, grain(1))[0].backward()
    pull = found.grad.clone()
    found.grad = None
    _, terms = game(projected, perceptual, found, grain(1))
    (0.1 * terms["generator"]).backward()
    torch.testing.assert_close(pull, found.grad)
    found.grad = None
    _, terms = game(projected, perceptual, found, grain(1))
    terms["discriminator"].backward()
    assert found.grad is None
    assert not any(weight.requires_grad for weight in perceptual.parameters())


def test_before_its_start_a_projected_discriminator_is_not_evaluated(projected, perceptual):
    loss, terms = game(projected, perceptual, grain(0), grain(1), images_seen=7)
    assert (loss.item(), terms) == (0, {})


def test_it_learns_to_miss_grain_in_a_few_steps_and_asks_for_it(projected, perceptual):
    """Plain grey in place of grain is what a blurring decoder gives."""
    plain = torch.zeros(4, 3, 32, 32)
    optimizer = torch.optim.Adam(projected.parameters(), lr=1e-3)
    for step in range(30):
        optimizer.zero_grad()
        _, terms = game(projected, perceptual, plain, grain(step))
        terms["discriminator"].backward()
        optimizer.step()
    assert terms["discriminator"] < 0.3
    pulls = [
        game(projected, perceptual, grain(99, amount), grain(0))[1]["generator"].item()
        for amount in (0.0, 0.1, 0.3)
    ]
    assert pulls == sorted(pulls, reverse=True)


def test_the_params_choose_the_discriminator(perceptual):
    def built(**changes):
        return build_adversary(replace(SHIPPED.autoencoder, **changes), perceptual)

    assert built(adversarial=None) is None
    assert not built(adversarial=CONFIG).sees_features
    named = PerceptualConfig(network="efficientnet-lite0", weight=1.0)
    assert built(adversarial=PROJECTED, perceptual=named).sees_features
