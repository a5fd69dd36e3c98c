import math
from functools import partial

import pytest
import torch

from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.guidance import clamp_data, clamp_times
from pdm.diffusion.samplers import euler, heun, multistep, noise_from_seeds
from pdm.diffusion.sampling_times import even_times, shift_time

SHAPES = [(8, 1, 1), (4, 2, 4), (2, 8, 16)]
ADAPTIVE = partial(runge_kutta, tolerance=1e-4)
SAMPLERS = pytest.mark.parametrize("sampler", [euler, heun, multistep, ADAPTIVE])


@SAMPLERS
@pytest.mark.parametrize("steps", [1, 7])
def test_the_true_straight_velocity_leads_to_the_data(sampler, steps):
    data, noise = noise_from_seeds([0, 1], SHAPES), noise_from_seeds([2, 3], SHAPES)

    def velocity(x, t):
        return tuple(end - start for start, end in zip(noise, data, strict=True))

    for found, expected in zip(sampler(velocity, noise, even_times(steps)), data, strict=True):
        torch.testing.assert_close(found, expected)


@SAMPLERS
def test_gaussian_data_is_sampled_with_its_mean_and_deviation(sampler):
    mean, std = 3.0, 0.5

    def velocity(x, t):
        """Exact for data ~ N(mean, std^2): the expected slope given the point."""
        (level,) = x
        time = t.view(-1, 1, 1, 1)
        variance = (time * std) ** 2 + (1 - time) ** 2
        slope = (time * std**2 - (1 - time)) / variance
        return (mean + slope * (level - time * mean),)

    noise = noise_from_seeds([0], [(1, 100, 100)])
    (found,) = sampler(velocity, noise, even_times(200))
    assert found.mean().item() == pytest.approx(mean, abs=0.02)
    assert found.std().item() == pytest.approx(std, rel=0.03)


def error(sampler, times) -> float:
    """At the end of dx/dt = x cos(3 t), whose solution is x0 exp(sin(3 t) / 3)."""
    start = (torch.ones(1, 1, 1, 1, dtype=torch.float64),)
    (found,) = sampler(lambda x, t: (x[0] * torch.cos(3 * t.double()),), start, times)
    return abs(found.item() - math.exp(math.sin(3) / 3))


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (multistep, 2)])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_error_falls_with_the_order_of_the_sampler(sampler, order, shift):
    coarse, fine = (shift_time(even_times(steps), shift) for steps in (160, 320))
    assert error(sampler, coarse) / error(sampler, fine) == pytest.approx(2**order, rel=0.25)


def test_the_error_of_the_adaptive_sampler_falls_with_its_tolerance():
    errors = [
        error(partial(runge_kutta, tolerance=limit), even_times(1)) for limit in (1e-2, 1e-4, 1e-6)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < 1e-4
    assert errors[2] < 1e-6


def counted(velocity):
    """The velocity, and the times of each picture it was asked for, summed over calls."""
    asked = []

    def counting(x, t):
        asked.append(t.tolist())
        return velocity(x, t)

    return counting, asked


@pytest.mark.parametrize(("sampler", "count"), [(euler, 4), (heun, 7), (multistep, 4)])
def test_no_sampler_asks_for_the_velocity_where_the_data_is_reached(sampler, count):
    velocity, asked = counted(lambda x, t: x)
    sampler(velocity, noise_from_seeds([0], SHAPES), even_times(4))
    assert len(asked) == count
    assert max(asked) == [0.75]


def bend(x, t):
    """Bends the more the larger a picture is, so that pictures need steps of different lengths."""
    return tuple(torch.sin(5 * level.abs().amax((1, 2, 3), keepdim=True)) * level for level in x)


@SAMPLERS
def test_a_picture_does_not_depend_on_its_batch(sampler):
    noise = tuple(
        level.double() * torch.tensor([1.0, 3.0, 9.0]).view(-1, 1, 1, 1)
        for level in noise_from_seeds(range(3), SHAPES)
    )
    together = sampler(bend, noise, even_times(5))
    for row in range(3):
        alone = sampler(bend, tuple(level[row : row + 1] for level in noise), even_times(5))
        for a, b in zip(together, alone, strict=True):
            assert torch.equal(a[row : row + 1], b)


def test_an_easy_picture_costs_the_adaptive_sampler_less_than_a_hard_one():
    costs = []
    for speed in (0.0, 1.0, 30.0):
        velocity, asked = counted(
            lambda x, t, speed=speed: (torch.cos(speed * t).view(-1, 1, 1, 1).expand_as(x[0]),)
        )
        ADAPTIVE(velocity, (torch.zeros(1, 1, 2, 2),), even_times(1))
        costs.append(len(asked))
    assert costs[0] <= costs[1] < costs[2]


def test_a_picture_that_is_not_finite_ends_the_adaptive_sampler_and_changes_no_other():
    def velocity(x, t):
        return (torch.where(x[0] > 0, torch.nan, torch.cos(9 * t).view(-1, 1, 1, 1) - x[0]),)

    noise = -torch.arange(1.0, 4.0).view(3, 1, 1, 1)
    (alone,) = ADAPTIVE(velocity, (noise[:1],), torch.linspace(0, 1, 3) ** 2)
    noise[1] = 1.0
    (found,) = ADAPTIVE(velocity, (noise,), torch.linspace(0, 1, 3) ** 2)
    assert torch.equal(found[:1], alone)
    assert found.isnan().flatten().tolist() == [False, True, False]


@SAMPLERS
@pytest.mark.parametrize("steps", [1, 6])
def test_levels_with_times_of_their_own_reach_the_data_and_stand_still_before_and_after(
    sampler, steps
):
    data, noise = noise_from_seeds([0, 1], SHAPES), noise_from_seeds([2, 3], SHAPES)
    shared = torch.cat([even_times(steps) * 0.4, 0.4 + even_times(steps)[1:] * 0.6])
    times = torch.stack([shared / 0.4, (shared - 0.4) / 0.6, shared], dim=1)

    def velocity(x, t):
        """True while a level runs, and nonsense otherwise."""
        running = (t >= 0) & (t <= 1)
        return tuple(
            torch.where(runs.view(-1, 1, 1, 1), end - start, 1e6)
            for start, end, runs in zip(noise, data, running.unbind(1), strict=True)
        )

    for found, expected in zip(sampler(velocity, noise, times), data, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@SAMPLERS
def test_clamping_keeps_the_data_within_the_limit(sampler):
    noise = noise_from_seeds([0, 1], SHAPES)

    def far(x, t):
        return tuple(torch.full_like(level, 100.0) for level in x)

    for level in sampler(clamp_data(far, 2.5), noise, even_times(5)):
        torch.testing.assert_close(level, torch.full_like(level, 2.5), atol=5e-3, rtol=0)


@SAMPLERS
def test_a_clamp_that_never_bites_changes_nothing(sampler):
    noise = noise_from_seeds([0, 1], SHAPES)

    def towards_zero(x, t):
        return tuple(-0.5 * level for level in x)

    free = sampler(towards_zero, noise, even_times(5))
    held = sampler(clamp_data(towards_zero, 1e3), noise, even_times(5))
    for a, b in zip(free, held, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)


def test_a_velocity_with_a_margin_is_evaluated_only_inside_it():
    velocity, asked = counted(lambda x, t: x)
    euler(clamp_times(velocity, 0.1), noise_from_seeds([0], SHAPES), even_times(20))
    times = [time for (time,) in asked]
    assert min(times) == pytest.approx(0.1)
    assert max(times) == pytest.approx(0.9)
    assert sum(0.11 < time < 0.89 for time in times) == 15


def test_shifted_times_keep_the_ends_and_the_order_and_move_towards_noise():
    even = even_times(8)
    moved = shift_time(even, 3.0)
    assert (moved[0], moved[-1]) == (0, 1)
    assert moved.diff().min() > 0
    assert (moved < even)[1:-1].all()
    # Shares of noise u = 1 - t, as the paper writes it: u' = s u / (1 + (s - 1) u).
    torch.testing.assert_close(1 - moved, 3 * (1 - even) / (1 + 2 * (1 - even)))


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
def test_samples_have_the_dtype_of_the_noise(sampler):
    noise = tuple(level.double() for level in noise_from_seeds([0], SHAPES))
    for level in sampler(clamp_data(lambda x, t: x, 4.0), noise, even_times(3)):
        assert level.dtype == torch.float64
