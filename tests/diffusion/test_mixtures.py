"""Samplers on pyramids of Gaussian mixtures: the velocity is known, no network is in the way."""

from functools import partial

import pytest
import torch

from benchmarks.parts.diffusion.mixtures import Mixture
from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.samplers import euler, heun, multistep, noise_from_seeds
from pdm.diffusion.sampling_times import even_times

SHAPES = [(4, 1, 1), (2, 2, 4), (1, 4, 8)]
MIXTURE = Mixture.standardised(SHAPES, components=4, seed=0)
ADAPTIVE = partial(runge_kutta, tolerance=1e-3)


def noise(count: int):
    return tuple(level.double() for level in noise_from_seeds(range(count), SHAPES))


def test_the_data_is_standardised():
    for level in MIXTURE.drawn(4000, seed=1):
        assert level.mean().item() == pytest.approx(0, abs=0.02)
        assert level.std().item() == pytest.approx(1, abs=0.02)


def test_the_velocity_is_the_mean_slope_of_the_paths_through_a_point():
    """Of all paths that pass near a point, the slopes have the velocity as their mean."""
    mixture = Mixture.standardised([(1, 1, 1)], components=3, seed=3)
    (data,) = mixture.drawn(400_000, seed=1)
    start = torch.randn(data.shape, generator=torch.Generator().manual_seed(2)).double()
    for time, place in ((0.3, 0.2), (0.7, -0.5)):
        near = (time * data + (1 - time) * start - place).abs() < 0.02
        (found,) = mixture.velocity(
            (torch.full((1, 1, 1, 1), place).double(),), torch.tensor([time])
        )
        assert (data - start)[near].mean().item() == pytest.approx(found.item(), abs=0.05)


@pytest.mark.parametrize(
    ("sampler", "steps"), [(euler, 150), (heun, 40), (multistep, 50), (ADAPTIVE, 1)]
)
def test_each_sampler_reaches_the_mixture(sampler, steps):
    count = 600
    found = sampler(MIXTURE.velocity, noise(count), even_times(steps))
    # Which component a sample is of follows from its values beyond doubt.
    squares = [
        ((level[:, None] - mean) / std).square().sum((2, 3, 4))
        for level, mean, std in zip(found, MIXTURE.means, MIXTURE.stds, strict=True)
    ]
    chosen = sum(squares).argmin(1)
    shares = torch.bincount(chosen, minlength=4) / count
    assert shares.tolist() == pytest.approx([0.25] * 4, abs=0.08)
    for level, mean, std in zip(found, MIXTURE.means, MIXTURE.stds, strict=True):
        scores = (level - mean[chosen]) / std[chosen]
        assert scores.mean().item() == pytest.approx(0, abs=0.05)
        assert scores.std().item() == pytest.approx(1, abs=0.05)


def test_the_second_order_needs_a_quarter_of_eulers_evaluations():
    start = noise(64)
    exact = heun(MIXTURE.velocity, start, even_times(1000))

    def error(sampler, steps):
        found = sampler(MIXTURE.velocity, start, even_times(steps))
        return sum((a - b).square().mean() for a, b in zip(found, exact, strict=True)).sqrt()

    assert error(multistep, 32) < error(euler, 128)
