"""Networks that predict data in place of velocities (x-prediction)."""

from dataclasses import replace

import pytest
import torch
from small_unet import CONFIG, awake, network, pyramid

from pdm import params
from pdm.diffusion.flow import flow_loss, interpolate, target
from pdm.models.levels.parameterisation import data_loss_weight, velocity_of_data
from pdm.params.keys import DEFAULT
from pdm.training.objectives.timesteps import TimeDistribution

PREDICTS = ("data", "velocity", "velocity", "data")


def test_predicted_data_is_where_its_velocity_leads():
    data, noise = pyramid(), tuple(torch.randn_like(level) for level in pyramid())
    t = torch.tensor([0.0, 0.7])
    for x, end, slope in zip(interpolate(data, noise, t), data, target(data, noise), strict=True):
        torch.testing.assert_close(velocity_of_data(end, x, t), slope, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_only_the_chosen_levels_predict_data():
    plain, chosen = awake(network()), awake(network(predicts=PREDICTS))
    levels, t = pyramid(), torch.tensor([0.2, 0.9])
    for what, x, output, velocity in zip(
        PREDICTS, levels, plain(levels, t), chosen(levels, t), strict=True
    ):
        expected = velocity_of_data(output, x, t) if what == "data" else output
        torch.testing.assert_close(velocity, expected)


@torch.no_grad()
def test_an_untrained_network_predicts_data_of_zero_at_any_time():
    unet, levels = network(predicts=PREDICTS), pyramid()
    t = torch.tensor([0.0, 1.0])
    for what, x, velocity in zip(PREDICTS, levels, unet(levels, t), strict=True):
        assert velocity.isfinite().all()
        if what == "velocity":
            assert not velocity.any()
        else:
            torch.testing.assert_close(velocity[0], -x[0])


def test_the_loss_of_a_velocity_from_data_is_that_of_the_clamped_one():
    """JiT divides both the predicted and the true velocity by 1 - t, but by 0.05 at least."""
    data, guess = pyramid(), tuple(level + 0.1 for level in pyramid())
    noise = tuple(torch.randn_like(level) for level in data)
    t = torch.tensor([0.5, 0.98])
    weights = TimeDistribution("logit_normal", 1.0, 0.0, None, None, 4, 0.0, (0, 1, 2, 3))

    def velocity(x, t):
        return tuple(velocity_of_data(one, level, t) for one, level in zip(guess, x, strict=True))

    factors = weights.weigh_predicted_data(torch.ones(2), t)
    _, errors = flow_loss(velocity, data, noise, t, [1.0] * 4, factors)
    expected = torch.tensor([(0.1 / 0.5) ** 2, (0.1 / 0.05) ** 2])
    torch.testing.assert_close(errors, expected.expand(4, 2), rtol=1e-3, atol=1e-4)


def test_only_levels_of_predicted_data_are_weighted():
    law = TimeDistribution("uniform", 1.0, 0.0, None, None, 3, 0.0, (1,))
    t = torch.tensor([0.3, 0.99])
    factors = law.weigh_predicted_data(torch.full((2,), 2.0), t)
    assert torch.equal(factors[:, [0, 2]], torch.full((2, 2), 2.0))
    torch.testing.assert_close(factors[:, 1], 2 * data_loss_weight(t))
    assert factors[0, 1] == 2
    plain = replace(law, data_levels=())
    assert plain.weigh_predicted_data(t, t) is t


def test_predictions_are_named_for_each_level():
    config = params.load(DEFAULT).diffusion
    with pytest.raises(ValueError, match=r"model\.predicts: expected 5 words"):
        replace(config, model=replace(config.model, predicts=("data", "velocity")))
    assert replace(
        config, model=replace(config.model, predicts=("data", *["velocity"] * 4))
    ).data_levels == (0,)
    assert CONFIG.predicts is None
