import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pdm.models.layers.lora import add_adapters, factors_of, merge_adapters


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(6, 4, 1),
        nn.Flatten(),
        nn.Linear(4 * 5 * 5, 7),
    )


def adapted(rank=2, scale=0.5, targets=("0", "2", "4")):
    model = network()
    add_adapters(model, rank, scale, targets)
    return model


def train(model, steps=20):
    torch.manual_seed(1)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    x, y = torch.randn(8, 3, 5, 5), torch.randn(8, 7)
    for _ in range(steps):
        loss = (model(x) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


X = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(2))


def test_at_first_the_network_is_as_before():
    assert torch.equal(adapted()(X), network()(X))


def test_only_the_factors_train_and_the_base_stays_to_the_bit():
    model, before = adapted(), dict(network().named_parameters())
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 6
    assert all(name.endswith((".up", ".down")) for name in trained)
    assert train(model) < train(adapted(), steps=1)
    for index in (0, 2, 4):
        found = model[index].parametrizations.weight.original
        assert torch.equal(found, before[f"{index}.weight"])
        assert torch.equal(model[index].bias, before[f"{index}.bias"])


def test_a_merged_network_equals_the_one_with_adapters():
    model = adapted()
    train(model)
    merged = network()
    merged.load_state_dict(merge_adapters(model.state_dict(), 0.5))
    torch.testing.assert_close(merged(X), model(X), atol=1e-5, rtol=1e-5)
    assert (merged(X) - network()(X)).abs().max() > 0.01


def test_a_layer_computes_its_output_plus_that_of_the_factors():
    """The form of the paper: W x + alpha / rank B A x, here of a convolution."""
    model = adapted(targets=("0",))
    train(model)
    [(down, up)] = factors_of(model.state_dict()).values()
    assert (down.shape, up.shape) == ((2, 3, 3, 3), (6, 2, 1, 1))
    base = network()[0](X)
    expected = base + 0.5 * F.conv2d(F.conv2d(X, down, padding=1), up)
    torch.testing.assert_close(model[0](X), expected, atol=1e-5, rtol=1e-5)


def test_the_change_has_the_rank_of_the_adapter():
    model = adapted(rank=2)
    train(model)
    change = merge_adapters(model.state_dict(), 0.5)["4.weight"] - network()[4].weight
    assert torch.linalg.matrix_rank(change, rtol=1e-4) == 2


def test_under_autocast_the_weight_stays_exact():
    model = adapted()
    train(model)
    with torch.autocast("cpu", torch.bfloat16):
        weight = model[4].weight
    assert torch.equal(weight, model[4].weight)


def test_a_copy_has_adapters_of_its_own():
    model = adapted()
    other = copy.deepcopy(model)
    train(model)
    assert torch.equal(other(X), network()(X))


def test_a_target_without_a_layer_is_refused():
    with pytest.raises(ValueError, match="ends in '1'"):
        adapted(targets=("0", "1"))  # 1 is an activation
