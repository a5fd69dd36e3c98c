import dataclasses

import pytest
import torch
from small_unet import CHANNELS, CONFIG, DOWNSAMPLINGS, TIMES, WINDOWS, awake, network, pyramid
from torch.utils.flop_counter import FlopCounterMode

from pdm.config.networks.level_times import LevelTimesConfig
from pdm.models.unet import PyramidUNet
from pdm.models.unet_parts.streams import FallingDropout, downsample, upsample

# One change against CONFIG for each idea that has a switch.
STAGES = LevelTimesConfig(
    kind="stages",
    stage_levels=(1, 2, 1),
    stage_probabilities=(0.5, 0.25, 0.25),
    stage_steps=(1.0, 1.0, 1.0),
    threshold=0.9,
    finished_location=1.5,
)
SWITCHES = {
    "a time for each level": {"windows": WINDOWS},
    "stages of levels": {"level_times": STAGES, "time_embedding": "summed"},
    "no branches": {"branches": False, "input_stream": False, "output_stream": False},
    "no input stream": {"input_stream": False},
    "no output stream": {"output_stream": False},
    "filtered resampling": {"resampling": "fir"},
    "attention by equal shares": {"attention_ratio": "equal"},
    "attention over pixels alone": {"attention_ratio": "spatial"},
    "no spectral norm": {"spectral_norm": False},
    "dropout that falls": {"dropout_falls": True},
}
SWITCHED = pytest.mark.parametrize("changes", SWITCHES.values(), ids=SWITCHES)


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


@SWITCHED
@torch.no_grad()
def test_an_untrained_network_predicts_zero(changes):
    for level, given in zip(network(**changes)(pyramid(), TIMES), pyramid(), strict=True):
        assert torch.equal(level, torch.zeros_like(given))


@SWITCHED
def test_every_parameter_gets_a_gradient(changes):
    unet = awake(network(**changes)).train()
    sum(level.square().mean() for level in unet(pyramid(), TIMES)).backward()
    silent = [n for n, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@SWITCHED
@torch.no_grad()
def test_a_switch_changes_what_is_predicted(changes):
    unet, levels = awake(network(**changes)), pyramid()
    if unet.config.dropout_falls:
        unet.train()
    torch.manual_seed(1)
    found = unet(levels, TIMES)
    assert not torch.allclose(found[-1], awake(network())(levels, TIMES)[-1], atol=1e-6)


@SWITCHED
@torch.no_grad()
def test_every_level_hears_every_other(changes):
    unet, levels = awake(network(**changes)), pyramid()
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
    for falls in (False, True):
        unet, levels = awake(network(dropout_falls=falls)), pyramid()
        assert torch.equal(unet(levels, TIMES)[-1], unet(levels, TIMES)[-1])
        unet.train()
        assert not torch.equal(unet(levels, TIMES)[-1], unet(levels, TIMES)[-1])
    unet.set_dropout(torch.zeros(()))
    torch.testing.assert_close(unet(levels, TIMES)[-1], unet.eval()(levels, TIMES)[-1])


def test_falling_dropout_drops_what_is_left_of_its_rate_and_keeps_the_mean():
    dropout, ones = FallingDropout(0.4).train(), torch.ones(200_000)
    for left, rate in ((1.0, 0.4), (0.25, 0.1)):
        dropout.left.fill_(left)
        found = dropout(ones)
        assert (found == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
        assert found.mean().item() == pytest.approx(1, abs=0.01)


def test_falling_dropout_has_its_rate_in_bfloat16_too():
    dropout = FallingDropout(0.1).train()
    dropout.left.fill_(0.01)
    found = dropout(torch.ones(1_000_000, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert (found == 0).float().mean().item() == pytest.approx(0.001, abs=2e-4)


@torch.no_grad()
def test_a_resolution_without_a_level_is_only_passed_through():
    unet = PyramidUNet(CONFIG, (6, 5, 3), ("global", 16, 4))
    levels = tuple(level for k, level in enumerate(pyramid()) if k != 2)
    assert [level.shape for level in unet(levels, TIMES)] == [level.shape for level in levels]


LEVEL_TIMES = torch.tensor([[0.9, 0.5, 0.1, -0.2], [1.2, 0.3, -0.1, -0.4]])


@pytest.mark.parametrize(
    "changes", [value for value in SWITCHES.values() if "branches" not in value]
)
@torch.no_grad()
def test_stages_that_no_level_needs_are_skipped_without_a_change(changes):
    own_times = {} if "level_times" in changes else {"windows": WINDOWS}
    unet = awake(network(**(own_times | changes)))
    levels = pyramid(count=3)
    for shift in (0.0, 0.15, 0.55):
        times = torch.cat([LEVEL_TIMES - shift, torch.full((1, 4), 0.5)])
        whole = unet(levels, times)  # the third picture needs all stages
        skipped = unet(tuple(level[:2] for level in levels), times[:2])
        for index, (a, b) in enumerate(zip(skipped, whole, strict=True)):
            begun = times[:2, index] >= 0
            torch.testing.assert_close(a[begun], b[:2][begun], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_skipped_stages_cost_nothing():
    unet, levels = network(windows=WINDOWS), pyramid()
    costs = []
    for times in (LEVEL_TIMES + 0.5, LEVEL_TIMES, LEVEL_TIMES - 0.15):
        with FlopCounterMode(display=False) as counter:
            unet(levels, times)
        costs.append(counter.get_total_flops())
    assert costs[1] < 0.5 * costs[0]
    assert costs[2] < 0.7 * costs[1]


@torch.no_grad()
def test_the_latents_of_a_level_that_has_not_begun_are_not_looked_at():
    unet, levels = awake(network(windows=WINDOWS)), pyramid()
    before = unet(levels, LEVEL_TIMES)
    after = unet((*levels[:3], levels[3] + 1), LEVEL_TIMES)
    for a, b in zip(before[:3], after[:3], strict=True):
        assert torch.equal(a, b)


@torch.no_grad()
def test_one_time_stands_for_all_levels():
    unet, levels = awake(network(windows=WINDOWS)), pyramid()
    found, expected = unet(levels, TIMES), unet(levels, TIMES[:, None].expand(2, 4))
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="one time for all levels"):
        network()(levels, LEVEL_TIMES)


@torch.no_grad()
def test_filtered_resampling_keeps_the_mean_and_smooth_pictures():
    flat = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(downsample(flat, "fir")[:, :, 1:-1, 1:-1], torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(upsample(flat, "fir")[:, :, 1:-1, 1:-1], torch.ones(1, 3, 14, 14))
    slope = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 1, 16, 16)
    there_and_back = upsample(downsample(slope, "fir"), "fir")
    torch.testing.assert_close(there_and_back[..., 4:-4, 4:-4], slope[..., 4:-4, 4:-4])


def test_widths_must_span_the_levels():
    with pytest.raises(ValueError, match="do not fit 2 widths"):
        PyramidUNet(
            dataclasses.replace(CONFIG, widths=(8, 8), dropout=(0.0, 0.0), blocks=(1, 1)),
            CHANNELS,
            DOWNSAMPLINGS,
        )
