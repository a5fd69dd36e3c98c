"""What the pyramid UNet is conditioned on: classes, tokens, maps."""

import dataclasses

import pytest
import torch
from small_unet import CHANNELS, DOWNSAMPLINGS, TIMES, WINDOWS, awake, network, pyramid

from pdm.config.networks.condition import ConditionConfig
from pdm.models.condition import (
    Condition,
    drop_condition,
    drop_rows,
    empty_condition,
)
from pdm.models.layers.attention import CrossAttention
from pdm.models.levels.pyramid import level_shapes
from pdm.models.unet import PyramidUNet

CONDITION = ConditionConfig(num_classes=3, token_width=7, map_channels=2, level_channels=(5, 4, 3))


def level_maps(generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    shapes = level_shapes(CONDITION.level_channels, DOWNSAMPLINGS[1:], 64, 128)
    return tuple(torch.randn(2, *shape, generator=generator) for shape in shapes)


def condition(**changes) -> Condition:
    generator = torch.Generator().manual_seed(2)
    whole = Condition(
        label=torch.tensor([0, 2]),
        tokens=torch.randn(2, 5, 7, generator=generator),
        map=torch.randn(2, 2, 32, 64, generator=generator),
        levels=level_maps(generator),
    )
    return dataclasses.replace(whole, **changes)


@torch.no_grad()
def test_conditions_are_taken_only_by_a_network_built_for_them():
    with pytest.raises(ValueError, match="built without a condition of the kind 'label'"):
        network()(pyramid(), TIMES, condition())
    with pytest.raises(ValueError, match="needs a condition of the kind 'label'"):
        network(condition=CONDITION)(pyramid(), TIMES)


@pytest.mark.parametrize(
    "other",
    [
        {"label": torch.tensor([1, 1])},
        {"tokens": torch.zeros(2, 3, 7)},
        {"map": torch.zeros(2, 2, 16, 32)},
        {"levels": level_maps(torch.Generator().manual_seed(3))},
    ],
    ids=["class", "tokens", "map", "levels"],
)
@torch.no_grad()
def test_each_kind_of_condition_is_heard_by_every_level(other):
    unet = awake(network(condition=CONDITION))
    before, after = unet(pyramid(), TIMES, condition()), unet(pyramid(), TIMES, condition(**other))
    for a, b in zip(before, after, strict=True):
        assert not torch.allclose(a, b, atol=1e-6)


def readers(unet: PyramidUNet) -> set[str]:
    found = (name for name, layer in unet.named_modules() if isinstance(layer, CrossAttention))
    return {name.split(".layers")[0].removesuffix(".reading") for name in found}


@torch.no_grad()
def test_tokens_are_read_where_pixels_attend_or_from_a_downsampling_of_their_own():
    coarse, fine = {"down.2", "middle", "up.2"}, {f"{way}.0" for way in ("down", "up")}
    assert readers(network(condition=CONDITION)) == coarse
    everywhere = network(condition=CONDITION, cross_attention_from=4)
    assert readers(everywhere) == coarse | fine | {"down.1", "up.1"}
    coarser = network(condition=CONDITION, attention_from=4, cross_attention_from=16)
    assert readers(coarser) == coarse


@torch.no_grad()
def test_without_a_condition_all_images_are_alike():
    unet = awake(network(condition=CONDITION))
    other = condition(label=torch.tensor([1, 1]), map=torch.ones(2, 2, 32, 64))
    for a, b in zip(
        unet(pyramid(), TIMES, drop_condition(CONDITION, condition())),
        unet(pyramid(), TIMES, drop_condition(CONDITION, other)),
        strict=True,
    ):
        assert torch.equal(a, b)


@torch.no_grad()
def test_maps_by_level_are_merged_for_a_network_without_branches():
    changes = {"branches": False, "input_stream": False, "output_stream": False}
    unet = awake(network(condition=CONDITION, **changes))
    maps = level_maps(torch.Generator().manual_seed(3))
    found = unet(pyramid(), TIMES, condition())
    assert [level.shape for level in found] == [level.shape for level in pyramid()]
    other = unet(pyramid(), TIMES, condition(levels=(*maps[:-1], condition().levels[-1])))
    assert not torch.allclose(found[-1], other[-1], atol=1e-6)


def test_rows_are_dropped_one_by_one():
    dropped = drop_rows(CONDITION, condition(), torch.tensor([True, False]))
    empty, full = drop_condition(CONDITION, condition()), condition()
    for name in ("label", "tokens", "map"):
        found = getattr(dropped, name)
        assert torch.equal(found[0], getattr(empty, name)[0])
        assert torch.equal(found[1], getattr(full, name)[1])
    for found, expected in zip(dropped.levels, full.levels, strict=True):
        assert not found[0].any()
        assert torch.equal(found[1], expected[1])


def test_an_empty_condition_has_the_parts_that_a_network_takes():
    shapes = level_shapes(CHANNELS, DOWNSAMPLINGS, 64, 128)
    found = empty_condition(CONDITION, shapes, 2, torch.device("cpu"))
    network(condition=CONDITION)(pyramid(), TIMES, found)
    assert empty_condition(None, shapes, 2, torch.device("cpu")).is_empty


def test_with_conditions_every_parameter_gets_a_gradient():
    unet = awake(network(condition=CONDITION)).train()
    found = unet(pyramid(), TIMES, condition(label=torch.arange(2) + 2))
    sum(level.square().mean() for level in found).backward()
    silent = [n for n, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@torch.no_grad()
def test_a_saved_network_loads_bit_equal(tmp_path):
    unet = awake(network(condition=CONDITION, windows=WINDOWS))
    unet.save_pretrained(tmp_path / "model", latents="abc")
    loaded = PyramidUNet.from_pretrained(tmp_path / "model")
    expected = unet(pyramid(), TIMES, condition())
    for a, b in zip(loaded(pyramid(), TIMES, condition()), expected, strict=True):
        assert torch.equal(a, b)
