import pytest
import torch

from pdm.training.objectives.pixel_losses import CHARBONNIER_EPSILON, charbonnier, gradient_loss, l1


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


def test_charbonnier_is_l1_with_a_round_tip():
    wanted = torch.zeros(1, 1, 1, 1)
    assert charbonnier(wanted, wanted).item() == pytest.approx(CHARBONNIER_EPSILON)
    assert charbonnier(wanted + 0.5, wanted).item() == pytest.approx(0.5, rel=1e-5)
    tip = torch.full_like(wanted, CHARBONNIER_EPSILON, requires_grad=True)
    charbonnier(tip, wanted).backward()
    assert tip.grad.item() == pytest.approx(2**-0.5)  # L1 has slope 1 everywhere


@pytest.mark.parametrize("distance", [l1, charbonnier])
def test_a_pixel_loss_is_a_mean_over_pixels(distance):
    found, wanted = torch.randn(3, 3, 8, 8), torch.randn(3, 3, 8, 8)
    single = torch.stack([distance(a, b) for a, b in zip(found, wanted, strict=True)])
    torch.testing.assert_close(distance(found, wanted), single.mean())
    assert distance(found, wanted) == distance(wanted, found)
