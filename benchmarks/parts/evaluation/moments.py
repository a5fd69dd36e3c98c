"""Mean and covariance of streamed features: our exact sums, and torchmetrics' running sums."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads, num_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments


@dataclasses.dataclass(frozen=True)
class Size:
    num_features: int
    count: int
    batch_size: int
    rounds: int


FULL = Size(num_features=2048, count=8192, batch_size=64, rounds=5)
QUICK = Size(num_features=64, count=512, batch_size=64, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Vectors a second, and how far the moments and a distance of them differ."""
    threads = num_threads()
    vectors = np.abs(np.random.default_rng(0).standard_normal((size.count, size.num_features)))
    batches = [
        0.5 * part.astype(np.float32) for part in np.split(vectors, size.count // size.batch_size)
    ]
    with limited_threads(threads):
        ours, theirs = _exact(batches), _running(batches)
        difference = np.abs(ours.covariance - theirs.covariance).max() / theirs.covariance.max()
        distance = frechet_distance(ours, theirs)
        jobs = (lambda: _exact(batches), lambda: _running(batches))
        seconds = interleaved(size.rounds, *(partial(timed, job) for job in jobs))
    mine, peers = (speeds(size.count, [one.wall for one in side]) for side in seconds)
    note = (
        f"Batches of {size.batch_size}, threads of each: {threads}; covariances differ by "
        f"{difference:.1e} of the largest entry, the Fréchet distance between the two is "
        f"{distance:.1e}; ours has the same bits in any order"
    )
    question = f"moments of {size.count:,} x {size.num_features} features, against torchmetrics"
    key, goal = "moments_vs_torchmetrics", "at least 2"
    return [compare(key, question, mine, peers, "vectors/s", goal, note)]


Batch = NDArray[np.float32]


def _exact(batches: list[Batch]) -> Moments:
    moments = ExactMoments(batches[0].shape[1])
    for batch in batches:
        moments.add(batch)
    return moments.moments()


def _running(batches: list[Batch]) -> Moments:
    """What torchmetrics' `FrechetInceptionDistance.update` and `compute` do with features."""
    size = batches[0].shape[1]
    total = torch.zeros(size, dtype=torch.float64)
    products = torch.zeros(size, size, dtype=torch.float64)
    for batch in batches:
        features: Tensor = torch.from_numpy(batch).double()
        total += features.sum(dim=0)
        products += features.t().mm(features)
    count = sum(len(batch) for batch in batches)
    mean = total / count
    scatter = products - count * mean.unsqueeze(0).t().mm(mean.unsqueeze(0))
    return Moments(count, mean.numpy(), scatter.numpy())
