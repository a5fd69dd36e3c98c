import pytest
import torch

from pdm.models.layers.basic import (
    EDGES_ZERO,
    average_pool,
    convolution,
    group_norm,
    norm_layer,
    res_skip,
)
from pdm.models.layers.blocks import ResidualBlock


@pytest.mark.parametrize("width", [1, 3, 16, 24, 48, 96, 128, 160, 192, 512])
def test_group_norm_fits_every_width(width):
    norm = group_norm(width)
    assert width % norm.num_groups == 0
    assert norm.num_groups <= max(1, min(width // 4, 32))


@pytest.mark.parametrize(("in_width", "out_width", "side"), [(16, 24, 3), (32, 96, 1), (64, 8, 3)])
def test_spectral_norm_holds_the_largest_singular_value_at_one(in_width, out_width, side):
    torch.manual_seed(0)
    layer = convolution(in_width, out_width, side, EDGES_ZERO, spectral_norm=True)
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(7)
    for _ in range(100):
        layer(torch.randn(1, in_width, 4, 4))
    largest = torch.linalg.svdvals(layer.weight.flatten(1)).max()
    assert largest.item() == pytest.approx(1.0, abs=1e-3)


def test_evaluation_does_not_advance_the_power_iteration():
    layer = convolution(8, 8, 3, EDGES_ZERO, spectral_norm=True).eval()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    layer(torch.randn(2, 8, 4, 4))
    for name, tensor in layer.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_spectral_norm_can_be_left_out():
    layer = convolution(8, 8, 3, EDGES_ZERO, spectral_norm=False)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_pixel_norm_is_layer_norm_over_the_channels_of_each_pixel():
    features = torch.randn(2, 8, 4, 6, generator=torch.Generator().manual_seed(0)) * 3 + 1
    normed = norm_layer(8, "pixel")(features)
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 4, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var(1, correction=0), torch.ones(2, 4, 6), atol=1e-4, rtol=0)


def test_pixel_norm_does_the_same_to_a_part_as_to_the_whole():
    torch.manual_seed(0)
    block = ResidualBlock(8, 8, norm="pixel", dropout=0.0, spectral_norm=False).eval()
    features = torch.randn(1, 8, 16, 16)
    whole, part = block(features), block(features[:, :, :12])
    torch.testing.assert_close(part[:, :, :10], whole[:, :, :10])


def test_joining_two_streams_of_unit_variance_keeps_it():
    first, second = torch.randn(2, 100_000, generator=torch.Generator().manual_seed(0))
    assert res_skip(first, second).var().item() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(res_skip(first, None), first / 2**0.5)


def test_a_block_without_gain_is_a_scaled_identity():
    block = ResidualBlock(8, 8, norm="group", dropout=0.0, spectral_norm=True)
    torch.nn.init.zeros_(block.gain)
    features = torch.randn(2, 8, 4, 6)
    torch.testing.assert_close(block(features), features / 2**0.5)


def test_dropout_acts_in_training_only():
    block = ResidualBlock(8, 8, norm="group", dropout=0.5, spectral_norm=False)
    features = torch.randn(2, 8, 4, 6)
    assert not torch.equal(block(features), block(features))
    block.eval()
    assert torch.equal(block(features), block(features))


def test_pooling_averages_squares_of_four():
    features = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert average_pool(features).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
