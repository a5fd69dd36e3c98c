"""Guided velocities where it is known what they must lead to."""

from functools import partial

import pytest
import torch

from benchmarks.parts.diffusion.mixtures import Mixture
from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.guidance import apply_guidance, in_one_batch
from pdm.diffusion.samplers import euler, heun, multistep, noise_from_seeds
from pdm.diffusion.sampling_times import even_times
from pdm.diffusion.stochastic import ddim

SHAPES = [(4, 1, 1), (2, 2, 4), (1, 4, 8)]
ALWAYS = (0.0, 1.0)
ADAPTIVE = partial(runge_kutta, tolerance=1e-4)
DDIM = partial(ddim, eta=0.0, fresh=lambda: pytest.fail("asked for noise"))
SAMPLERS = pytest.mark.parametrize("sampler", [euler, heun, multistep, ADAPTIVE, DDIM])


def gaussian(mean: float, std: float):
    """The exact velocity to data of this mean and spread."""

    def velocity(x, t):
        time = t.view(-1, 1, 1, 1)
        slope = (time * std**2 - (1 - time)) / ((time * std) ** 2 + (1 - time) ** 2)
        return tuple(mean + slope * (level - time * mean) for level in x)

    return velocity


def never_called(x, t):
    raise AssertionError("the guide was asked")


def test_scale_1_is_the_velocity_itself_and_the_guide_is_not_evaluated():
    velocity = gaussian(1.0, 0.5)
    assert apply_guidance(velocity, never_called, 1.0, ALWAYS) is velocity


@SAMPLERS
def test_scale_0_draws_what_the_guide_draws(sampler):
    noise = noise_from_seeds(range(3), SHAPES)
    found = sampler(
        apply_guidance(gaussian(1.0, 0.5), gaussian(-2.0, 0.9), 0.0, ALWAYS), noise, TIMES
    )
    for a, b in zip(found, sampler(gaussian(-2.0, 0.9), noise, TIMES), strict=True):
        assert torch.equal(a, b)


TIMES = even_times(7)


@SAMPLERS
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_between_gaussians_of_equal_variance_guidance_moves_the_mean_by_its_scale(sampler, scale):
    """Their velocities are linear in the mean, so the guided one is a Gaussian's, too."""
    noise = noise_from_seeds([0], [(1, 80, 80)])
    velocity = apply_guidance(gaussian(1.0, 0.5), gaussian(-1.0, 0.5), scale, ALWAYS)
    (found,) = sampler(velocity, noise, even_times(200))
    assert found.mean().item() == pytest.approx(-1 + 2 * scale, abs=0.03)
    assert found.std().item() == pytest.approx(0.5, rel=0.04)


def test_autoguidance_gathers_samples_at_the_modes_and_drops_no_mode():
    """What autoguidance promises: a guide with the same faults but larger ones sharpens."""
    data = Mixture.standardised(SHAPES, components=4, seed=0)
    blurred = Mixture(data.means, tuple(2 * std for std in data.stds))
    noise = tuple(level.double() for level in noise_from_seeds(range(300), SHAPES))
    found = {
        scale: multistep(
            apply_guidance(data.velocity, blurred.velocity, scale, ALWAYS), noise, even_times(50)
        )
        for scale in (1.0, 2.0)
    }
    spreads = {}
    for scale, levels in found.items():
        squares = [
            ((level[:, None] - mean) / std).square()
            for level, mean, std in zip(levels, data.means, data.stds, strict=True)
        ]
        chosen = sum(square.sum((2, 3, 4)) for square in squares).argmin(1)
        shares = torch.bincount(chosen, minlength=4) / 300
        assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.1)
        own = [square[torch.arange(300), chosen].mean() for square in squares]
        spreads[scale] = float(torch.stack(own).mean().sqrt())
    assert spreads[1.0] == pytest.approx(1, abs=0.05)
    assert spreads[2.0] < 0.7


def test_outside_of_its_interval_the_guide_is_not_evaluated():
    asked = []

    def guide(x, t):
        asked.append(t.max().item())
        return gaussian(-2.0, 0.9)(x, t)

    velocity, noise = gaussian(1.0, 0.5), noise_from_seeds([0, 1], SHAPES)
    led = apply_guidance(velocity, guide, 2.0, (0.3, 0.6))
    euler(led, noise, even_times(10))
    assert asked == pytest.approx([0.3, 0.4, 0.5, 0.6])
    for time in (0.2, 0.7):
        t = torch.full((2,), time)
        for a, b in zip(led(noise, t), velocity(noise, t), strict=True):
            assert torch.equal(a, b)


def test_each_level_is_guided_at_its_own_times():
    noise = noise_from_seeds([0, 1], SHAPES)
    ones, zeros = (tuple(torch.full_like(level, v) for level in noise) for v in (1.0, 0.0))
    led = apply_guidance(lambda x, t: ones, lambda x, t: zeros, 3.0, (0.2, 0.6))
    t = torch.tensor([[0.9, 0.5, -0.3], [0.2, 0.1, 0.6]])
    found = torch.stack([level.amax((1, 2, 3)) for level in led(noise, t)], dim=1)
    assert found.tolist() == [[1, 3, 1], [3, 1, 3]]


@SAMPLERS
def test_a_guided_picture_does_not_depend_on_its_batch(sampler):
    noise = tuple(level.double() for level in noise_from_seeds(range(3), SHAPES))

    def bend(strength):
        return lambda x, t: tuple(
            torch.sin(strength * level.abs().amax((1, 2, 3), keepdim=True)) * level for level in x
        )

    velocity = apply_guidance(bend(3.0), bend(1.0), 2.0, (0.25, 0.75))
    together = sampler(velocity, noise, even_times(5))
    for row in range(3):
        alone = sampler(velocity, tuple(level[row : row + 1] for level in noise), even_times(5))
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[row : row + 1], b)


@pytest.mark.parametrize("interval", [ALWAYS, (0.3, 0.6)])
def test_one_pass_gives_what_two_passes_give(interval):
    means, sizes = torch.tensor([1.0, 1.0, -1.0, -1.0]), []

    def conditional(x, t, means=means):
        sizes.append(len(t))
        return tuple(means[: len(t)].view(-1, 1, 1, 1) - level for level in x)

    noise = noise_from_seeds(range(2), SHAPES)
    guide = partial(conditional, means=means[2:])
    in_turn = euler(apply_guidance(conditional, guide, 3.0, interval), noise, TIMES)
    sizes.clear()
    guided = apply_guidance(conditional, never_called, 3.0, interval, in_one_batch(conditional))
    for found, expected in zip(euler(guided, noise, TIMES), in_turn, strict=True):
        assert torch.equal(found, expected)
    assert sizes.count(4) == sum(interval[0] <= t <= interval[1] for t in TIMES[:-1].tolist())
    assert len(sizes) == len(TIMES) - 1
