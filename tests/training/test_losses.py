import pytest
import torch

from pdm.training.losses import gradient_loss


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
