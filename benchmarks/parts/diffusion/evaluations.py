"""Number of evaluations that a sampler needs, with a velocity that is known exactly.

Pyramids of Gaussian mixtures (see `mixtures.py`), no network. A sampler's error is the root mean
square, averaged over the levels, of the difference between its samples and those of the exact flow
from the same noise; data has a standard deviation of 1. Nothing is timed, so the figures are the
same on every machine.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.parts.diffusion.mixtures import Mixture
from benchmarks.shared.ratios import Ratio
from pdm.diffusion.adaptive import runge_kutta
from pdm.diffusion.samplers import Sampler, euler, heun, multistep, noise_from_seeds
from pdm.diffusion.sampling_times import even_times
from pdm.models.levels.pyramid import LevelShape, Pyramid

SHAPES: list[LevelShape] = [(8, 1, 1), (4, 2, 4), (2, 8, 16)]
COMPONENTS = 8
ERRORS = (0.03, 0.01, 0.003)
HEADLINE = 0.01
STEPS = [round(4 * 1.1892**power) for power in range(36)]  # 4 to 1,723, by fourth roots of 2
TOLERANCES = [0.1 * 10 ** (-power / 8) for power in range(50)]


@dataclass(frozen=True)
class Size:
    mixtures: int
    pictures: int
    samples: int  # for the distance between distributions


QUICK = Size(mixtures=1, pictures=8, samples=64)
FULL = Size(mixtures=5, pictures=64, samples=2048)


@dataclass
class Counted:
    """A velocity that counts the pictures it is evaluated for."""

    mixture: Mixture
    pictures: int = 0

    def __call__(self, pyramid: Pyramid, t: Tensor) -> Pyramid:
        self.pictures += len(t)
        return self.mixture.velocity(pyramid, t)


def measure(size: Size, folder: Path) -> list[Ratio]:
    counts = [_evaluations(seed, size.pictures) for seed in range(size.mixtures)]
    lines = [
        _line(name, limit, counts)
        for limit in ERRORS
        for name in ("multistep", "heun", "adaptive")
        if all(limit in found[name] and limit in found["euler"] for found in counts)
    ]
    return [*lines, _distance(size.samples)]


def _line(name: str, limit: float, counts: list[dict[str, dict[float, float]]]) -> Ratio:
    ours = [found[name][limit] for found in counts]
    peer = [found["euler"][limit] for found in counts]
    headline = name == "multistep" and limit == HEADLINE
    return Ratio(
        "evaluations_vs_euler" if headline else f"evaluations_{name}_{limit}",
        f"evaluations to an error of {limit}, {name} against Euler in even steps (less is better)",
        statistics.median(ours),
        statistics.median(peer),
        "evaluations",
        tuple(one / other for one, other in zip(ours, peer, strict=True)),
        "at most 0.25" if headline else "",
    )


def _evaluations(seed: int, pictures: int) -> dict[str, dict[float, float]]:
    """For each sampler, the fewest evaluations per picture to each error that it reached."""
    mixture = Mixture.standardised(SHAPES, COMPONENTS, seed)
    noise = _noise(pictures)
    exact = runge_kutta(mixture.velocity, noise, even_times(1), tolerance=1e-8)
    return {
        name: _fewest(trials, exact, pictures) for name, trials in _trials(mixture, noise).items()
    }


def _trials(
    mixture: Mixture, noise: Pyramid
) -> dict[str, Iterator[tuple[Counted, Callable[[], Pyramid]]]]:
    """By sampler, what to try in turn: each with more evaluations than the one before."""

    def fixed(sampler: Sampler) -> Iterator[tuple[Counted, Callable[[], Pyramid]]]:
        for steps in STEPS:
            velocity = Counted(mixture)
            yield velocity, partial(sampler, velocity, noise, even_times(steps))

    def by_error() -> Iterator[tuple[Counted, Callable[[], Pyramid]]]:
        for limit in TOLERANCES:
            velocity = Counted(mixture)
            draw = partial(runge_kutta, velocity, noise, even_times(1), tolerance=limit)
            yield velocity, draw

    fixed_ones = {"euler": euler, "heun": heun, "multistep": multistep}
    return {name: fixed(sampler) for name, sampler in fixed_ones.items()} | {"adaptive": by_error()}


def _fewest(
    trials: Iterator[tuple[Counted, Callable[[], Pyramid]]], exact: Pyramid, pictures: int
) -> dict[float, float]:
    fewest: dict[float, float] = {}
    for velocity, draw in trials:
        found = draw()
        squares = [(a - b).square().mean() for a, b in zip(found, exact, strict=True)]
        error = float(torch.stack(squares).mean().sqrt())
        for limit in ERRORS:
            if error <= limit:
                fewest.setdefault(limit, velocity.pictures / pictures)
        if len(fewest) == len(ERRORS):
            break
    return fewest


def _distance(samples: int) -> Ratio:
    """Whether what is drawn is distributed as the data is."""
    mixture = Mixture.standardised(SHAPES, COMPONENTS, seed=0)
    data, others = mixture.drawn(samples, seed=1), mixture.drawn(samples, seed=2)
    drawn = multistep(mixture.velocity, _noise(samples), even_times(32))
    ours, floor = _sliced(drawn, data), _sliced(others, data)
    return Ratio(
        "distribution_vs_floor",
        "sliced 2-Wasserstein distance of samples to data (multistep, 32 evaluations), against "
        "that of data to data (1 is perfect)",
        ours,
        floor,
        "standard deviations",
        (ours / floor,),
        note=f"{samples} samples on each side.",
    )


def _sliced(first: Pyramid, second: Pyramid) -> float:
    """Over 256 directions of the whole pyramid."""
    rows = [torch.cat([level.flatten(1) for level in one], dim=1) for one in (first, second)]
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(rows[0].shape[1], 256, generator=generator, dtype=torch.float64)
    a, b = (one @ (axes / axes.norm(dim=0)) for one in rows)
    return float((a.sort(0).values - b.sort(0).values).square().mean().sqrt())


def _noise(pictures: int) -> Pyramid:
    return tuple(level.double() for level in noise_from_seeds(range(pictures), SHAPES))
