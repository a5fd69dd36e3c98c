import math

import pytest
import torch

from pdm.training.losses import gradient_loss, kl_to_standard_normal


def test_pictures_that_differ_by_a_constant_have_no_gradient_loss():
    images = torch.randn(2, 3, 16, 16)
    assert gradient_loss(images + 0.3, images).item() == pytest.approx(0, abs=1e-6)


def test_a_ramp_costs_its_slope_at_every_scale():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    # Slope 1 per pixel; pooled twice, a pixel is 2 and then 4 old ones wide.
    assert gradient_loss(ramp, torch.zeros_like(ramp)).item() == pytest.approx((1 + 2 + 4) / 3)


def test_both_directions_count_alike():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    zero = torch.zeros_like(ramp)
    assert gradient_loss(ramp, zero) == gradient_loss(ramp.transpose(2, 3), zero)


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
