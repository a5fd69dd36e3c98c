"""Own times of the levels: in a sampler, and in training."""

from dataclasses import replace

import pytest
import torch

from pdm import params
from pdm.config.networks.level_times import LevelTimesConfig
from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.level_schedules import (
    sampler_stops,
    shifted_by_level,
    split_steps,
    stops_between_bends,
)
from pdm.diffusion.sampling_times import step_lengths
from pdm.errors import BadInput
from pdm.inference.latent_sampling import SAMPLERS
from pdm.params.keys import DEFAULT
from pdm.training.objectives.timesteps import TimeDistribution

STAGES = LevelTimesConfig(
    kind="stages",
    stage_levels=(2, 1, 1),
    stage_probabilities=(0.5, 0.3, 0.2),
    stage_steps=(2.0, 1.0, 1.0),
    threshold=0.8,
    finished_location=1.5,
)
OFFSET = LevelTimesConfig(kind="offset", offset=0.3, leading_weight=2.0)
SHIFTS = LevelTimesConfig(kind="shifts", shifts=(0.5, 1.0, 2.0, 4.0))
WINDOWS = ((0.0, 0.7), (0.1, 0.8), (0.2, 0.9), (0.3, 1.0))
KINDS = pytest.mark.parametrize("rule", [STAGES, OFFSET, SHIFTS], ids=lambda rule: rule.kind)
SHAPES = [(6, 1, 1), (4, 2, 4), (3, 4, 8), (2, 8, 16)]


def random_pyramid(seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, *shape, generator=generator) for shape in SHAPES)


def distribution(rule, *, kind="logit_normal", shift=1.0, noise=0.0) -> TimeDistribution:
    return TimeDistribution(kind, shift, 0.0, None, rule, len(SHAPES), noise)


def draws(law: TimeDistribution, count: int = 4000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([law.draw(generator) for _ in range(count)])


@KINDS
@pytest.mark.parametrize("shift", [1.0, 2.5])
@pytest.mark.parametrize("steps", [9, 40])
def test_a_sampler_takes_the_given_number_of_steps_from_noise_to_data(rule, shift, steps):
    times = sampler_stops(steps, shift, rule, 4)
    assert len(times) == steps + 1
    assert (times.clamp(0, 1).diff(dim=0) >= 0).all()
    assert (times[0] <= 0).all()
    assert (times[0, 0] == 0).all()
    assert (times[-1] >= 1).all()
    lengths = torch.tensor(step_lengths(times))
    torch.testing.assert_close(lengths.sum(dim=0), torch.ones(4))
    # A level moves only where it has begun, since the network does not see it before.
    assert (times[:-1][lengths > 0] >= 0).all()


@KINDS
@pytest.mark.parametrize("sampler", [*SAMPLERS, "adaptive"])
def test_every_sampler_follows_the_true_velocity_to_the_image(rule, sampler):
    data, noise = random_pyramid(0), random_pyramid(1)

    def velocity(pyramid, t):
        """True where a level runs; not a number before it begins and after it ends."""
        runs = ((t >= 0) & (t <= 1)).unbind(1)
        return tuple(
            torch.where(here.view(-1, 1, 1, 1), end - start, torch.nan)
            for start, end, here in zip(noise, data, runs, strict=True)
        )

    if sampler == "adaptive":
        found = runge_kutta(velocity, noise, stops_between_bends(9, rule, 4), tolerance=1e-3)
    else:
        found = SAMPLERS[sampler](velocity, noise, sampler_stops(9, 1.0, rule, 4))
    for level, expected in zip(found, data, strict=True):
        torch.testing.assert_close(level, expected, atol=1e-4, rtol=0)


def test_a_stage_is_drawn_alone_to_the_threshold_and_finishes_beside_the_next_ones():
    times = sampler_stops(40, 1.0, STAGES, 4)
    assert torch.equal(times[:, 0], times[:, 1])  # levels of one stage share their time
    second = int((times[:, 2] >= 0).int().argmax())
    third = int((times[:, 3] >= 0).int().argmax())
    assert (second, third) == (20, 30)  # steps are shared 2 : 1 : 1
    assert times[second, 0].item() == pytest.approx(0.8)
    assert times[third, 2].item() == pytest.approx(0.8)
    assert (times[second:, 0].diff() > 0).all()
    assert (times[-1] == 1).all()


def test_an_offset_makes_each_level_lag_behind_the_coarser_one_by_the_same_time():
    for times in (sampler_stops(40, 2.0, OFFSET, 4), draws(distribution(OFFSET), 50)):
        lags = -times.diff(dim=1)
        torch.testing.assert_close(lags, torch.full_like(lags, 0.1), atol=1e-5, rtol=0)


def test_shifts_move_coarse_levels_forward_and_fine_ones_back():
    times = sampler_stops(40, 1.0, SHIFTS, 4)[1:-1]
    assert (times.diff(dim=1) < 0).all()
    assert torch.equal(times[:, 1], sampler_stops(40, 1.0, None, 4)[1:-1])


@KINDS
def test_too_few_steps_for_the_parts_of_the_way_are_refused(rule):
    if rule.kind == "shifts":
        assert len(sampler_stops(1, 1.0, rule, 4)) == 2
    else:
        with pytest.raises(BadInput, match="steps is 2"):
            sampler_stops(2, 1.0, rule, 4)


def test_steps_are_split_by_shares_with_at_least_one_each():
    assert split_steps(40, [3.0, 1.0]) == [30, 10]
    assert split_steps(3, [100.0, 1.0, 1.0]) == [1, 1, 1]
    assert sum(split_steps(17, [0.2, 0.5, 0.3])) == 17


# training


def test_stages_are_trained_by_their_shares_with_earlier_ones_nearly_clean():
    times = draws(distribution(STAGES))
    begun = (times >= 0).sum(dim=1)
    shares = [(begun == count).float().mean().item() for count in (2, 3, 4)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert torch.equal(times[:, 0], times[:, 1])
    last = times[begun == 4]
    assert last[:, 3].logit().mean().item() == pytest.approx(0, abs=0.15)
    for level in (0, 2):
        assert last[:, level].logit().mean().item() == pytest.approx(1.5, abs=0.15)
        assert last[:, level].logit().std().item() == pytest.approx(1, abs=0.1)
    # Two stages' times are drawn on their own.
    assert torch.corrcoef(last[:, [0, 2]].T)[0, 1].abs() < 0.15


def test_levels_count_in_the_loss_while_they_run():
    for rule, leading in ((STAGES, 1.0), (OFFSET, 2.0)):
        law = distribution(rule, kind="uniform")
        times = draws(law, 500)
        weights = law.weights(times)
        runs = (times >= 0) & (times <= 1)
        assert not weights[~runs].any()
        assert set(weights[:, 0][runs[:, 0]].tolist()) == {leading}
        assert set(weights[:, 1:][runs[:, 1:]].tolist()) == {1.0}
    assert (distribution(SHIFTS).weights(draws(distribution(SHIFTS), 9)) == 1).all()


@KINDS
def test_levels_in_training_are_where_the_sampler_takes_them(rule):
    """The times of the sampler are among those that training draws."""
    times = sampler_stops(30, 1.0, rule, 4).float()
    if rule.kind == "shifts":
        common = sampler_stops(30, 1.0, None, 4)
        torch.testing.assert_close(times, shifted_by_level(common, rule).float())
    order = draws(distribution(rule), 200)
    assert ((order >= 0).int().diff(dim=1) <= 0).all()
    assert ((times >= 0).int().diff(dim=1) <= 0).all()


@pytest.mark.parametrize("rule", [STAGES, OFFSET, WINDOWS], ids=["stages", "offset", "windows"])
def test_finished_levels_get_at_most_the_given_share_of_noise_and_no_other_changes(rule):
    law = distribution(rule, noise=0.25)
    times = draws(law, 2000)
    generator = torch.Generator().manual_seed(1)
    changed = torch.stack([law.disturb(one, generator) for one in times])
    moved = changed != times
    assert moved.any()
    assert changed[moved].min() >= 0.75
    assert changed[moved].max() <= 1
    assert changed[moved].mean().item() == pytest.approx(0.875, abs=0.01)
    if rule is STAGES:
        begun = (times >= 0).sum(dim=1)
        assert torch.equal(moved.sum(dim=1) > 0, begun > 2)
    else:
        assert torch.equal(moved, times > 1)


# settings

DIFFUSION = params.load(DEFAULT).diffusion


def with_rule(rule, **changes):
    return replace(DIFFUSION, model=replace(DIFFUSION.model, level_times=rule), **changes)


def test_rules_must_fit_the_number_of_levels():
    with pytest.raises(ValueError, match="stage_levels: expected numbers with the sum 5"):
        with_rule(STAGES)
    with pytest.raises(ValueError, match="5 shifts"):
        with_rule(SHIFTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage_probabilities": (0.5, 0.3, 0.1)}, "the sum 1"),
        ({"stage_probabilities": (0.5, 0.5)}, "one per stage"),
        ({"stage_steps": (1.0,)}, "one per stage"),
        ({"threshold": 0.0}, "threshold"),
        ({"offset": 0.3}, "none with stages"),
        ({"finished_location": None}, "a value with kind stages"),
    ],
)
def test_stages_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(STAGES, **changes)


def test_switches_without_own_times_are_refused():
    with pytest.raises(ValueError, match="finished_level_noise"):
        replace(DIFFUSION, finished_level_noise=0.25)
    with pytest.raises(ValueError, match="time_embedding"):
        replace(DIFFUSION.model, time_embedding="summed")
    with pytest.raises(ValueError, match="null with windows"):
        replace(DIFFUSION.model, windows=WINDOWS, level_times=OFFSET)
    shifts = LevelTimesConfig(kind="shifts", shifts=(0.5, 0.7, 1.0, 1.4, 2.0))
    with pytest.raises(ValueError, match="finished_level_noise"):
        with_rule(shifts, finished_level_noise=0.25)
    assert with_rule(OFFSET, finished_level_noise=0.25).schedule is OFFSET
