"""The Fréchet distance from moments to number: ours, scipy's matrix square root, torchmetrics.

At full rank (more pictures than features) and rank-deficient (fewer). The truth is the sum of the
singular values of the product of the two sets of vectors, which needs no covariance at all.
"""

import dataclasses
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from torchmetrics.image.fid import _compute_fid

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads, num_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Array, Moments


@dataclasses.dataclass(frozen=True)
class Size:
    num_features: int
    full_rank: tuple[int, int]  # vectors of each set
    deficient: tuple[int, int]
    rounds: int


FULL = Size(num_features=2048, full_rank=(6000, 5000), deficient=(1500, 1000), rounds=5)
QUICK = Size(num_features=64, full_rank=(200, 150), deficient=(40, 30), rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Distances a second, ours over each peer's, and our error."""
    threads = num_threads()
    with limited_threads(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's, of singular matrices
        lines, errors = [], []
        for suffix, counts in (("", size.full_rank), ("_deficient", size.deficient)):
            sets = [_features(count, size.num_features, seed) for seed, count in enumerate(counts)]
            lines += _speed_lines(suffix, counts, sets, size.rounds, threads)
            found = frechet_distance(*(Moments.of(each) for each in sets))
            truth = _truth(*sets)
            errors.append(abs(found - truth) / truth)
    error = max(*errors, np.finfo(np.float64).eps)  # what can be told apart
    note = f"Full rank {errors[0]:.1e}, rank-deficient {errors[1]:.1e}"
    question = "relative error of the distance, the larger of both cases (less is better)"
    lines.append(
        Ratio("frechet_rel_error", question, error, None, "", (error,), "at most 1e-8", note)
    )
    return lines


def _speed_lines(
    suffix: str, counts: tuple[int, int], sets: list[Array], rounds: int, threads: int
) -> list[Ratio]:
    moments = [Moments.of(each) for each in sets]
    truth = _truth(*sets)
    jobs: tuple[Callable[[], float], ...] = (
        lambda: frechet_distance(*moments),
        lambda: _by_square_root(*moments),
        lambda: _by_torchmetrics(*moments),
    )
    errors = [abs(job() - truth) / truth for job in jobs]
    seconds = interleaved(rounds, *(partial(timed, job) for job in jobs))
    rates = [speeds(1, [one.wall for one in side]) for side in seconds]
    size = f"{sets[0].shape[1]} features, {counts[0]:,} and {counts[1]:,} vectors"
    lines = []
    for key, peer, goal, rate, error in (
        ("sqrtm", "scipy's sqrtm", "at least 20", rates[1], errors[1]),
        ("torchmetrics", "torchmetrics", "at least 2", rates[2], errors[2]),
    ):
        note = f"Threads of each: {threads}; relative errors {errors[0]:.1e} and theirs {error:.1e}"
        question = f"Fréchet distance of {size}, against {peer}"
        lines.append(
            compare(f"frechet_vs_{key}{suffix}", question, rates[0], rate, "1/s", goal, note)
        )
    return lines


def _features(count: int, size: int, seed: int) -> Array:
    """Vectors whose variance falls by direction, as a network's features do."""
    random = np.random.default_rng(seed)
    turned = random.standard_normal((size, size)) / np.sqrt(size)
    scales = np.arange(1, size + 1) ** -0.7
    vectors: Array = (random.standard_normal((count, size)) * scales) @ turned + 0.02 * seed
    return vectors


def _by_square_root(first: Moments, second: Moments) -> float:
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance).real
    shift = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    return float(shift @ shift + traces - 2 * np.trace(root))


def _by_torchmetrics(first: Moments, second: Moments) -> float:
    parts = (first.mean, first.covariance, second.mean, second.covariance)
    return float(_compute_fid(*(torch.from_numpy(part) for part in parts)))


def _truth(first: Array, second: Array) -> float:
    factors = [_triangular_factor(each) for each in (first, second)]
    nuclear = scipy.linalg.svdvals(factors[0] @ factors[1].T).sum()
    shift = first.mean(0) - second.mean(0)
    return float(shift @ shift + sum((factor**2).sum() for factor in factors) - 2 * nuclear)


def _triangular_factor(vectors: Array) -> Array:
    """R of the QR decomposition, with R^T R the covariance."""
    centred = (vectors - vectors.mean(0)) / np.sqrt(len(vectors) - 1)
    factor: Array = scipy.linalg.qr(centred, mode="r")[0][: vectors.shape[1]]
    return factor
