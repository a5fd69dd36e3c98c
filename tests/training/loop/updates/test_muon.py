import pytest
import torch
from torch import nn

from pdm.training.loop.updates.muon import FACTORS, STEPS, Muon, is_matrix, orthogonalise


def group(weights, orthogonal=True):
    return [{"params": list(weights), "orthogonal": orthogonal}]


def test_singular_values_come_near_one():
    matrix = torch.randn(40, 24, generator=torch.Generator().manual_seed(0))
    for shaped in (matrix, matrix.T, 1e-4 * matrix):
        values = torch.linalg.svdvals(orthogonalise(shaped).float())
        assert values.min() > 0.6
        assert values.max() < 1.25


def test_directions_of_tiny_gradients_are_those_of_exact_arithmetic():
    torch.manual_seed(0)
    matrix = torch.randn(32, 3) @ torch.randn(3, 90) + 1e-3 * torch.randn(32, 90)
    first, second, third = FACTORS
    exact = matrix.double() / matrix.double().norm()
    for _ in range(STEPS):
        gram = exact @ exact.T
        exact = first * exact + (second * gram + third * gram @ gram) @ exact
    found = orthogonalise(matrix).double()
    assert (found - exact).norm() < 1e-3 * exact.norm()


def test_a_matrix_moves_as_torchs_own_muon_moves_it():
    steps = []
    for make in (
        lambda weight: Muon(group([weight]), lr=0.02, weight_decay=0.1),
        lambda weight: torch.optim.Muon(
            [weight], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
    ):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(32, 48))
        optimizer = make(weight)
        for _ in range(4):
            weight.grad = torch.randn(32, 48)
            optimizer.step()
        steps.append(weight.detach())
    # torch's has the precision of bfloat16.
    torch.testing.assert_close(*steps, atol=1e-3, rtol=0)


def test_kernels_are_matrices_and_all_else_moves_as_adamw_moves_it():
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, 3)
    twin = nn.Conv2d(16, 16, 3)
    twin.load_state_dict(layer.state_dict())
    optimizers = (
        Muon(group(layer.parameters()), lr=0.01, weight_decay=0.1),
        torch.optim.AdamW(twin.parameters(), lr=0.01, weight_decay=0.1),
    )
    image = torch.randn(2, 16, 8, 8)
    for one, optimizer in zip((layer, twin), optimizers, strict=True):
        one(image).square().mean().backward()
        optimizer.step()
    assert torch.equal(layer.bias, twin.bias)
    assert not torch.equal(layer.weight, twin.weight)
    size = (layer.weight - twin.weight).square().mean().sqrt()
    assert size < 0.01  # both step about 0.2 to 1 of the learning rate


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((64,), False), ((4, 64, 3, 3), False), ((64, 1, 3, 3), False), ((64, 4, 3, 3), True)],
)
def test_entries_exits_and_gains_are_left_to_adamw(shape, expected):
    assert is_matrix(nn.Parameter(torch.empty(shape))) == expected


def test_other_groups_are_left_to_adamw():
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.ones(16, 16)) for _ in range(2)]
    optimizers = (
        Muon(group(weights[:1], orthogonal=False), lr=0.01),
        torch.optim.AdamW(weights[1:], lr=0.01),
    )
    for weight, optimizer in zip(weights, optimizers, strict=True):
        weight.grad = torch.arange(256.0).view(16, 16)
        optimizer.step()
    assert torch.equal(*weights)
