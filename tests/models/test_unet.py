import dataclasses

import pytest
import torch

from pdm.config.diffusion import UNetConfig
from pdm.models.pyramid import level_shapes
from pdm.models.unet import PyramidUNet

CONFIG = UNetConfig(
    widths=(8, 12, 16), blocks=2, attention_from=16, dropout=(0.0, 0.1, 0.2), spectral_norm=True
)
CHANNELS = (6, 5, 4, 3)
DOWNSAMPLINGS = ("global", 16, 8, 4)


def network(condition_width: int | None = None, **changes) -> PyramidUNet:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, **changes)
    return PyramidUNet(config, CHANNELS, DOWNSAMPLINGS, condition_width).eval()


def awake(unet: PyramidUNet) -> PyramidUNet:
    """As after some training: no parameter is zero any more."""
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return unet


def pyramid(height: int = 64, width: int = 128, count: int = 2) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    shapes = level_shapes(CHANNELS, DOWNSAMPLINGS, height, width)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in shapes)


TIMES = torch.tensor([0.2, 0.9])


@pytest.mark.parametrize(("height", "width"), [(64, 128), (256, 256), (32, 16)])
@torch.no_grad()
def test_velocities_have_the_shapes_of_the_levels(height, width):
    levels = pyramid(height, width)
    found = network()(levels, TIMES)
    assert [level.shape for level in found] == [level.shape for level in levels]


def test_2k_latents_go_through_on_the_meta_device():
    levels = tuple(level.to("meta") for level in pyramid(1024, 2048, count=1))
    found = network().to("meta")(levels, torch.zeros(1, device="meta"))
    assert [level.shape for level in found] == [level.shape for level in levels]


@torch.no_grad()
def test_an_untrained_network_predicts_zero():
    for level in network()(pyramid(), TIMES):
        assert torch.equal(level, torch.zeros_like(level))


def test_every_parameter_gets_a_gradient():
    unet = awake(network()).train()
    sum(level.square().mean() for level in unet(pyramid(), TIMES)).backward()
    silent = [n for n, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@torch.no_grad()
def test_every_level_hears_every_other():
    unet, levels = awake(network()), pyramid()
    before = unet(levels, TIMES)
    for index, level in enumerate(levels):
        after = unet((*levels[:index], level + 1, *levels[index + 1 :]), TIMES)
        for old, new in zip(before, after, strict=True):
            assert not torch.allclose(old, new, atol=1e-6)


@torch.no_grad()
def test_the_velocity_depends_on_the_time():
    unet = awake(network())
    early, late = unet(pyramid(), torch.zeros(2)), unet(pyramid(), torch.ones(2))
    assert not any(torch.allclose(a, b) for a, b in zip(early, late, strict=True))


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_batch():
    unet, levels = awake(network()), pyramid()
    together = unet(levels, TIMES)
    alone = unet(tuple(level[1:] for level in levels), TIMES[1:])
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_dropout_acts_in_training_only():
    unet, levels = awake(network()), pyramid()
    assert torch.equal(unet(levels, TIMES)[-1], unet(levels, TIMES)[-1])
    unet.train()
    assert not torch.equal(unet(levels, TIMES)[-1], unet(levels, TIMES)[-1])


@torch.no_grad()
def test_a_resolution_without_a_level_is_only_passed_through():
    unet = PyramidUNet(CONFIG, (6, 5, 3), ("global", 16, 4))
    levels = tuple(level for k, level in enumerate(pyramid()) if k != 2)
    assert [level.shape for level in unet(levels, TIMES)] == [level.shape for level in levels]


@torch.no_grad()
def test_conditions_are_taken_only_by_a_network_built_for_them():
    vectors = torch.randn(2, 7)
    with pytest.raises(ValueError, match="built without a condition"):
        network()(pyramid(), TIMES, vectors)
    conditional = awake(network(condition_width=7))
    with pytest.raises(ValueError, match="needs a condition"):
        conditional(pyramid(), TIMES)
    first = conditional(pyramid(), TIMES, vectors)
    second = conditional(pyramid(), TIMES, vectors + 1)
    assert not torch.allclose(first[-1], second[-1])


@torch.no_grad()
def test_a_saved_network_loads_bit_equal(tmp_path):
    unet = awake(network(condition_width=7))
    unet.save_pretrained(tmp_path / "model", latents="abc")
    loaded = PyramidUNet.from_pretrained(tmp_path / "model")
    vectors = torch.randn(2, 7)
    expected = unet(pyramid(), TIMES, vectors)
    for a, b in zip(loaded(pyramid(), TIMES, vectors), expected, strict=True):
        assert torch.equal(a, b)


def test_widths_must_span_the_levels():
    with pytest.raises(ValueError, match="do not fit 2 widths"):
        PyramidUNet(
            dataclasses.replace(CONFIG, widths=(8, 8), dropout=(0.0, 0.0)), CHANNELS, DOWNSAMPLINGS
        )
