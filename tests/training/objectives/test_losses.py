import math
from dataclasses import replace

import pytest
import torch
from shared.tiny_pyramid import AUTOENCODER
from shared.training_settings import TRAINING
from torch import nn

from pdm.config.networks.autoencoder_model import LevelConfig
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.posterior import sample_latents
from pdm.models.regions import Region, Span
from pdm.training.monitoring.held_out import psnr
from pdm.training.objectives.losses import (
    AutoencoderLosses,
    Plan,
    means_by_time,
)
from pdm.training.objectives.perceptual import PerceptualLoss
from pdm.training.objectives.pixel_losses import gradient_loss

CONFIG = AutoencoderConfig(
    image_height_px=32,
    image_width_px=64,
    model=replace(
        AUTOENCODER,
        levels=(
            LevelConfig(downsampling="global", channels=6, kl_weight=1e-3),
            LevelConfig(downsampling=8, channels=4, kl_weight=0.0),
            LevelConfig(downsampling=4, channels=3, kl_weight=1e-2),
        ),
        norm="pixel",
        attention_ratio="equal",
    ),
    baseline=None,
    init_from=None,
    pixel_loss="l1",
    perceptual=None,
    adversarial=None,
    gradient_loss_weight=0.7,
    partial_loss_weight=0.25,
    equivariance_loss_weight=0.0,
    horizontal_flip=0.0,
    crop_px=None,
    close_up=0.0,
    training=replace(TRAINING, batch_size=2, total_images=16),
)
PLAN = Plan(num_levels=2, downscaling=2, images_seen=0, region=None, crop=None)


def losses_of(**changes) -> AutoencoderLosses:
    torch.manual_seed(0)
    return AutoencoderLosses(
        PyramidAutoencoder(CONFIG.model), replace(CONFIG, **changes), None, None
    )


def batch(count: int = 2):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, 3, 32, 64, generator=generator) * 2 - 1
    shapes = [(6, 1, 1), (4, 4, 8), (3, 8, 16)]
    return images, tuple(torch.randn(count, *shape, generator=generator) for shape in shapes)


def test_the_gradient_loss_of_a_tiny_picture_is_a_number():
    tiny = torch.rand(1, 3, 2, 8)
    assert gradient_loss(tiny, torch.zeros_like(tiny)).isfinite()


def test_the_loss_is_the_weighted_sum_of_its_terms():
    found = losses_of(equivariance_loss_weight=0.3)(*batch(), PLAN)
    terms = {name: value.item() for name, value in found.items()}
    assert set(terms) == {
        *("loss", "l1", "gradient", "partial", "equivariance", "kl_level_0", "kl_level_2")
    }
    assert terms["loss"] == pytest.approx(
        terms["l1"]
        + 0.7 * terms["gradient"]
        + 0.25 * terms["partial"]
        + 0.3 * terms["equivariance"]
        + 1e-3 * terms["kl_level_0"]
        + 1e-2 * terms["kl_level_2"]
    )


def test_the_pixel_loss_is_logged_under_its_own_name():
    l1, charbonnier = (
        losses_of()(*batch(), PLAN),
        losses_of(pixel_loss="charbonnier")(*batch(), PLAN),
    )
    assert "l1" not in charbonnier
    assert charbonnier["charbonnier"] > l1["l1"]
    torch.testing.assert_close(charbonnier["charbonnier"], l1["l1"], atol=1e-3, rtol=0)


def test_without_its_weight_equivariance_is_not_even_looked_at():
    assert "equivariance" not in losses_of()(*batch(), PLAN)


class Pooling(Autoencoder):
    """Latents are the picture at half the size, times a weight for each place of four."""

    def __init__(self, slope: float) -> None:
        super().__init__([3], [2])
        self.slope = nn.Parameter(torch.tensor(slope))

    def posterior(self, images, tile_px=None):
        return (nn.functional.avg_pool2d(images, 2) + self.slope * images[..., ::2, ::2],), (None,)

    def penalty(self, means, log_variances):
        return torch.zeros(()), {}

    def decode_raw(self, pyramid, size=None, tile_px=None):
        return nn.functional.interpolate(pyramid[0], scale_factor=2.0) / (1 + self.slope)


def test_latents_that_scale_with_the_picture_have_no_equivariance_loss():
    blocks = torch.rand(2, 3, 8, 16).repeat_interleave(4, 2).repeat_interleave(4, 3)
    config = replace(CONFIG, equivariance_loss_weight=1.0)
    noise, plan = (torch.zeros(2, 3, 16, 32),), replace(PLAN, num_levels=1)
    found = AutoencoderLosses(Pooling(0.0), config, None, None)(blocks, noise, plan)
    assert found["equivariance"].item() == pytest.approx(0, abs=1e-6)
    checks = torch.rand(2, 3, 32, 64)  # detail that only one place in four is asked about
    uneven = AutoencoderLosses(Pooling(1.0), config, None, None)(checks, noise, plan)
    even = AutoencoderLosses(Pooling(0.0), config, None, None)(checks, noise, plan)
    assert uneven["equivariance"] > 1.2 * even["equivariance"]


def test_equivariance_reaches_the_encoder():
    """Pulled by it alone, the uneven code turns into a mere reduction, which scales."""
    images, noise = torch.rand(2, 3, 32, 64), (torch.zeros(2, 3, 16, 32),)
    model = Pooling(1.0)
    losses = AutoencoderLosses(model, replace(CONFIG, equivariance_loss_weight=1.0), None, None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        losses(images, noise, replace(PLAN, num_levels=1))["equivariance"].backward()
        optimizer.step()
    assert model.slope.item() < 0.7


class Sums(nn.Module):
    """A distance with known values: a gain times the mean absolute difference of each picture."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(3.0))

    def forward(self, first, second):
        assert first.dtype == second.dtype == torch.float32
        return self.gain * (first - second).abs().mean((1, 2, 3))


def test_a_perceptual_network_adds_its_weighted_distance_and_stays_as_it_is():
    torch.manual_seed(0)
    model, network = PyramidAutoencoder(CONFIG.model), Sums()
    losses = AutoencoderLosses(model, CONFIG, PerceptualLoss(network, weight=0.5), None)
    found = losses(*batch(), PLAN)
    assert found["perceptual"].item() == pytest.approx(3 * found["l1"].item(), rel=1e-5)
    without = losses_of()(*batch(), PLAN)
    assert found["loss"].item() == pytest.approx(
        without["loss"].item() + 0.5 * found["perceptual"].item(), rel=1e-5
    )
    found["loss"].backward()
    assert network.gain.grad is None
    assert all(weight.grad is not None for weight in model.decoder.stages[-1].to_rgb.parameters())


def test_a_perceptual_network_computes_in_float32_under_bfloat16():
    losses = AutoencoderLosses(losses_of().model, CONFIG, PerceptualLoss(Sums(), weight=0.5), None)
    with torch.autocast("cpu", torch.bfloat16):
        assert losses(*batch(), PLAN)["perceptual"].dtype == torch.float32


class Seen(torch.nn.Module):
    """A perceptual network that remembers the shapes of what it sees."""

    def forward(self, prediction, target):
        self.shapes = (prediction.shape[2:], target.shape[2:])
        return (prediction - target).square()


def test_the_networks_that_judge_see_the_crop_of_the_plan():
    seen = Seen()
    losses = AutoencoderLosses(losses_of().model, CONFIG, PerceptualLoss(seen, weight=0.5), None)
    losses(*batch(), replace(PLAN, crop=Region(Span(8, 24), Span(0, 32), 32, 64)))
    assert seen.shapes == ((16, 32), (16, 32))
    losses(*batch(), PLAN)
    assert seen.shapes == ((32, 64), (32, 64))


def scenes(count: int) -> torch.Tensor:
    """Pictures with something to say at every scale: a colour, two halves, small checks."""
    random = torch.Generator().manual_seed(2)
    colour = torch.rand(count, 3, 1, 1, generator=random) - 0.5
    coarse = 0.4 * torch.randn(count, 3, 4, 8, generator=random)
    fine = 0.2 * torch.randn(count, 1, 8, 16, generator=random)
    layers = [nn.functional.interpolate(part, (32, 64)) for part in (coarse, fine)]
    return (colour + sum(layers)).clamp(-1, 1)


def test_after_a_short_training_every_further_level_betters_the_picture():
    losses = losses_of()
    optimizer = torch.optim.AdamW(losses.parameters(), lr=5e-3)
    pictures = scenes(32)
    for step in range(100):
        images = pictures[torch.arange(4) + 4 * (step % 8)]
        noise = tuple(torch.zeros(4, *s) for s in losses.model.level_shapes(32, 64))
        losses(images, noise, replace(PLAN, num_levels=1 + step % 2))["loss"].backward()
        nn.utils.clip_grad_norm_(losses.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        means, _ = losses.model.eval().posterior(pictures)
        decoded = [losses.model.decode_raw(means[:count], (32, 64)) for count in (1, 2, 3)]
    scores = [float(psnr(found, pictures).mean()) for found in decoded]
    assert scores[0] + 0.5 < scores[1]
    assert scores[1] + 0.5 < scores[2], scores


def test_a_window_of_the_picture_is_judged_as_if_it_had_been_cut_out_afterwards():
    losses = losses_of().eval()  # in training each forward pass moves the spectral norms
    images, noise = batch()
    region = Region(Span(3, 20), Span(10, 51), 32, 64)
    found = losses(images, noise, replace(PLAN, region=region))
    means, log_variances = losses.model.posterior(images)
    latents = sample_latents(means, log_variances, noise)
    whole = losses.model.decode_raw(latents, (32, 64))
    part = losses.model.decode_raw(tuple(level[::2] for level in latents[:2]), (32, 64))
    torch.testing.assert_close(found["l1"], (region.of(whole) - region.of(images)).abs().mean())
    expected = gradient_loss(region.of(whole), region.of(images))
    torch.testing.assert_close(found["gradient"], expected)
    near = (region.of(part) - region.of(images[::2])).abs().mean()
    expected = near + 0.7 * gradient_loss(region.of(part), region.of(images[::2]))
    torch.testing.assert_close(found["partial"], expected)


def test_a_window_that_is_the_whole_picture_gives_the_same_gradients():
    gradients = []
    for region in (None, Region(Span(0, 32), Span(0, 64), 32, 64)):
        losses = losses_of()
        images, noise = batch()
        losses(images, noise, replace(PLAN, region=region))["loss"].backward()
        gradients.append([weight.grad for weight in losses.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_network_that_norms_over_whole_maps_refuses_a_window():
    losses = losses_of()
    losses.model = PyramidAutoencoder(replace(CONFIG.model, norm="group"))
    with pytest.raises(ValueError, match="leave tile_px and crop_px out"):
        losses(*batch(), replace(PLAN, region=Region(Span(0, 8), Span(0, 8), 32, 64)))


def test_losses_are_with_distinct_names_by_time_and_a_time_that_was_not_drawn_is_no_number():
    found = means_by_time(
        torch.tensor([1.0, 3.0, 8.0, 5.0]), torch.tensor([0.0, 0.2, 0.99, 1.0])
    ).tolist()
    assert (found[0], found[3]) == (2.0, 6.5)
    assert all(math.isnan(value) for value in found[1:3])
