import math

import pytest
import torch

from pdm.models.levels.posterior import kl_penalty, kl_to_standard_normal, sample_latents


def test_a_level_without_log_variance_is_its_mean_for_any_noise():
    mean, noise = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert sample_latents((mean,), (None,), (noise,))[0] is mean


def test_the_other_levels_have_the_posteriors_spread():
    mean, log_variance = torch.full((1, 1, 200, 200), 3.0), torch.full((1, 1, 200, 200), 2.0)
    (level,) = sample_latents((mean,), (log_variance,), (torch.randn_like(mean),))
    assert level.mean().item() == pytest.approx(3.0, abs=0.1)
    assert level.std().item() == pytest.approx(math.e, rel=0.05)


def test_the_penalty_is_the_weighted_sum_over_the_levels_that_have_noise():
    means = tuple(torch.full((2, 1, 1, 1), value) for value in (2.0, 4.0, 6.0))
    zero = torch.zeros(2, 1, 1, 1)
    penalty, terms = kl_penalty(means, (zero, None, zero), (0.5, 0.0, 0.1))
    assert {name: term.item() for name, term in terms.items()} == {
        "kl_level_0": 2.0,
        "kl_level_2": 18.0,
    }
    assert penalty.item() == pytest.approx(0.5 * 2 + 0.1 * 18)


def test_levels_without_noise_cost_nothing():
    penalty, terms = kl_penalty((torch.ones(1, 1, 1, 1),), (None,), (0.0,))
    assert penalty.item() == 0
    assert terms == {}


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [(0.0, 1.0, 0.0), (2.0, 1.0, 2.0), (0.0, math.e, 0.5 * (math.e**2 - 3))],
)
def test_kl_has_its_textbook_values(mean, std, expected):
    means, log_variances = torch.full((2, 3), mean), torch.full((2, 3), 2 * math.log(std))
    assert kl_to_standard_normal(means, log_variances).item() == pytest.approx(expected, abs=1e-5)


def test_kl_agrees_with_torch_distributions():
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean, (0.5 * log_variance).exp()), normal(0.0, 1.0)
    ).mean()
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
