"""Bootstrap replicates of the Fréchet distance: to first order, and by resampling the sets.

Speed: 200 replicates for two large sets; resampling is timed for a few and extrapolated. Truth: the
deviation that either way says, over that of the distances of many independent pairs of sets.
"""

import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.shared.ratios import Ratio
from benchmarks.shared.threads import limited_threads
from benchmarks.shared.timing import Seconds, timed
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.influence import frechet_influences
from pdm.evaluation.distances.moments import Array, Moments

NUM_REPLICATES = 200


@dataclasses.dataclass(frozen=True)
class Size:
    count: int  # vectors of each set
    num_features: int
    timed: int  # replicates by resampling
    pairs: int  # of independent sets, whose distances tell the truth
    trials: int  # pairs whose deviation is estimated


FULL = Size(count=50_000, num_features=2048, timed=2, pairs=300, trials=10)
QUICK = Size(count=200, num_features=8, timed=2, pairs=10, trials=2)

# Features, vectors of each set, how much the sets differ: 0 for two sets of one kind.
CASES = [(32, ratio, strength) for ratio in (0.7, 2, 10, 40) for strength in (0.0, 0.1, 0.5)]


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Seconds for all replicates, and deviations over the true one."""
    with limited_threads(1):
        return [_speed(size), *(_truth(size, *case) for case in CASES)]


def _speed(size: Size) -> Ratio:
    first, second = (_vectors(seed, size.count, size.num_features, 0.1 * seed) for seed in (0, 1))
    ours = timed(lambda: _to_first_order(first, second, NUM_REPLICATES))
    theirs = timed(lambda: _resampled(first, second, size.timed))
    theirs = Seconds(*(each * NUM_REPLICATES / size.timed for each in (theirs.wall, theirs.cpu)))
    return Ratio(
        "replicates_to_first_order",
        f"{NUM_REPLICATES} replicates of the distance of twice {size.count:,} x "
        f"{size.num_features} features, to first order, against resampling (less is better)",
        ours.cpu,
        theirs.cpu,
        "s of the processor",
        (ours.cpu / theirs.cpu,),
        note=f"One thread; moments are taken once; resampling is extrapolated from "
        f"{size.timed} replicates",
    )


def _truth(size: Size, num_features: int, ratio: float, strength: float) -> Ratio:
    count = round(num_features * ratio)
    truth = np.std(
        [
            frechet_distance(
                *(Moments.of(each) for each in _pair(seed, count, num_features, strength))
            )
            for seed in range(1000, 1000 + size.pairs)
        ]
    )
    pairs = [_pair(seed, count, num_features, strength) for seed in range(size.trials)]
    ours, theirs = (
        np.mean([np.std(way(*pair, NUM_REPLICATES)) for pair in pairs]) / truth
        for way in (_to_first_order, _resampled)
    )
    kind = f"sets that differ by {strength}" if strength else "sets of one kind"
    return Ratio(
        f"deviation_{count}_{strength}",
        f"deviation over the true one, to first order and by resampling: {count} vectors of "
        f"{num_features} features, {kind}",
        float(ours),
        float(theirs),
        "",
        (float(ours),),
        "1",
    )


def _to_first_order(first: Array, second: Array, num_replicates: int) -> Array:
    moments = Moments.of(first), Moments.of(second)
    total = np.full(num_replicates, frechet_distance(*moments))
    for own, other, vectors, seed in ((0, 1, first, 0), (1, 0, second, 1)):
        influences = frechet_influences(vectors, moments[own], moments[other])
        total += _counts(seed, len(vectors), num_replicates) @ influences / len(vectors)
    return total


def _resampled(first: Array, second: Array, num_replicates: int) -> Array:
    counts = (_counts(seed, len(each), num_replicates) for seed, each in enumerate((first, second)))
    return np.array(
        [
            frechet_distance(Moments.counted(first, ours), Moments.counted(second, theirs))
            for ours, theirs in zip(*counts, strict=True)
        ]
    )


def _counts(seed: int, count: int, num_replicates: int) -> Array:
    chances = np.full(count, 1 / count)
    random = np.random.default_rng([seed, 99])
    return random.multinomial(count, chances, size=num_replicates).astype(np.float64)


def _pair(seed: int, count: int, num_features: int, strength: float) -> tuple[Array, Array]:
    return (
        _vectors(2 * seed, count, num_features, strength),
        _vectors(2 * seed + 1, count, num_features, 0.0),
    )


def _vectors(seed: int, count: int, num_features: int, strength: float) -> Array:
    """Variance falls by direction, as that of a network's features; `strength` widens and moves."""
    scales = np.arange(1, num_features + 1) ** -0.7
    vectors = np.random.default_rng(seed).standard_normal((count, num_features)) * scales
    return np.asarray(vectors * (1 + strength) + 0.3 * strength * scales)
