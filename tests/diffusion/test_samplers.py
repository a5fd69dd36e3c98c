import math

import pytest
import torch

from pdm.diffusion.samplers import euler, heun, noise_from_seeds

SHAPES = [(8, 1, 1), (4, 2, 4), (2, 8, 16)]
SAMPLERS = pytest.mark.parametrize("sampler", [euler, heun])


@SAMPLERS
@pytest.mark.parametrize("steps", [1, 7])
def test_the_true_straight_velocity_leads_to_the_data(sampler, steps):
    data, noise = noise_from_seeds([0, 1], SHAPES), noise_from_seeds([2, 3], SHAPES)

    def velocity(x, t):
        return tuple(end - start for start, end in zip(noise, data, strict=True))

    for found, expected in zip(sampler(velocity, noise, steps=steps), data, strict=True):
        torch.testing.assert_close(found, expected)


@SAMPLERS
def test_gaussian_data_is_sampled_with_its_mean_and_spread(sampler):
    mean, std = 3.0, 0.5

    def velocity(x, t):
        """Exact for data ~ N(mean, std^2): the expected slope given the point."""
        (level,) = x
        time = t.view(-1, 1, 1, 1)
        variance = (time * std) ** 2 + (1 - time) ** 2
        slope = (time * std**2 - (1 - time)) / variance
        return (mean + slope * (level - time * mean),)

    noise = noise_from_seeds([0], [(1, 100, 100)])
    (found,) = sampler(velocity, noise, steps=200)
    assert found.mean().item() == pytest.approx(mean, abs=0.02)
    assert found.std().item() == pytest.approx(std, rel=0.03)


def error(sampler, steps: int) -> float:
    """At the end of dx/dt = x cos(3 t), whose solution is x0 exp(sin(3 t) / 3)."""
    start = (torch.ones(1, 1, 1, 1, dtype=torch.float64),)
    (found,) = sampler(lambda x, t: (x[0] * torch.cos(3 * t.double()),), start, steps=steps)
    return abs(found.item() - math.exp(math.sin(3) / 3))


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2)])
def test_the_error_falls_with_the_order_of_the_sampler(sampler, order):
    assert error(sampler, 80) / error(sampler, 160) == pytest.approx(2**order, rel=0.2)


def test_heun_never_asks_for_the_velocity_where_the_data_is_reached():
    times = []

    def velocity(x, t):
        times.append(t[0].item())
        return x

    heun(velocity, noise_from_seeds([0], SHAPES), steps=4)
    assert len(times) == 7
    assert max(times) == 0.75


@SAMPLERS
def test_clamping_keeps_the_data_within_the_limit(sampler):
    noise = noise_from_seeds([0, 1], SHAPES)

    def far(x, t):
        return tuple(torch.full_like(level, 100.0) for level in x)

    for level in sampler(far, noise, 5, 2.5):
        torch.testing.assert_close(level, torch.full_like(level, 2.5))


@SAMPLERS
def test_a_clamp_that_never_bites_changes_nothing(sampler):
    noise = noise_from_seeds([0, 1], SHAPES)

    def towards_zero(x, t):
        return tuple(-0.5 * level for level in x)

    free, held = sampler(towards_zero, noise, 5), sampler(towards_zero, noise, 5, 1e3)
    for a, b in zip(free, held, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_a_seed_gives_the_same_noise_in_any_batch():
    together = noise_from_seeds(range(5), SHAPES)
    for seed in range(5):
        alone = noise_from_seeds([seed], SHAPES)
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[seed : seed + 1], b)


def test_seeds_give_standard_normal_noise_that_differs_between_levels_and_pictures():
    levels = noise_from_seeds(range(200), [(4, 8, 8), (4, 8, 8)])
    for level in levels:
        assert level.mean().item() == pytest.approx(0, abs=0.01)
        assert level.std().item() == pytest.approx(1, abs=0.01)
    assert not torch.equal(*levels)
    assert not torch.equal(levels[0][0], levels[0][1])


@SAMPLERS
def test_the_dtype_of_the_noise_is_kept(sampler):
    noise = tuple(level.double() for level in noise_from_seeds([0], SHAPES))
    for level in sampler(lambda x, t: x, noise, 3, 4.0):
        assert level.dtype == torch.float64
