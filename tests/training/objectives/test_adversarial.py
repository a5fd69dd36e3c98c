import pytest
import torch
from torch import nn

from pdm.config.stages.autoencoder import AdversarialConfig
from pdm.training.objectives.adversarial import AdversarialLoss, adaptive_weight, hinge

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
    return adversary(found, wanted, reconstruction, last.weight, images_seen)


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
