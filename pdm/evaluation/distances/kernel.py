"""Kernel distance: the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

On Inception features this is the KID (Bińkowski et al., arXiv:1801.01401). Unlike the Fréchet
distance its expectation does not depend on the number of pictures, and it may fall below zero.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdm.evaluation.distances.moments import Array

BLOCK = 1024  # rows of the kernel matrix held at once


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """The estimate and its standard deviation."""

    value: float
    deviation: float | None  # None where a set has fewer than 3 pictures


def kernel_distance(first: Array, second: Array) -> KernelDistance:
    """Distance between features (N, D) and (M, D), at least 2 of each.

    Every pair counts once, without random subsets. The deviation is the two-sample jackknife's,
    which errs on the large side where the sets hardly differ.
    """
    within_first = _row_sums(first, first) - _own_kernel(first)
    within_second = _row_sums(second, second) - _own_kernel(second)
    across_first, across_second = _row_sums(first, second), _row_sums(second, first)
    n, m = len(first), len(second)
    totals = within_first.sum(), within_second.sum(), across_first.sum()
    value = _unbiased(*totals, n, m)
    if min(n, m) < 3:
        return KernelDistance(float(value), None)
    without_first = _unbiased(
        totals[0] - 2 * within_first, totals[1], totals[2] - across_first, n - 1, m
    )
    without_second = _unbiased(
        totals[0], totals[1] - 2 * within_second, totals[2] - across_second, n, m - 1
    )
    variance = (n - 1) * np.var(without_first) + (m - 1) * np.var(without_second)
    return KernelDistance(float(value), float(np.sqrt(variance)))


def resampled_kernel_distances(
    first: Array, second: Array, counts: Array, other_counts: Array
) -> Array:
    """The distance of resampled sets, (B,).

    Args:
        first, second: Features (N, D) and (M, D).
        counts: How often each of `first` is drawn in each of B resamples, (B, N).
        other_counts: The same for `second`, (B, M).
    """
    n, m = len(first), len(second)
    totals = (
        _drawn_sum(first, first, counts, counts) - counts @ _own_kernel(first),
        _drawn_sum(second, second, other_counts, other_counts) - other_counts @ _own_kernel(second),
        _drawn_sum(first, second, counts, other_counts),
    )
    return np.asarray(_unbiased(*totals, n, m))


def _drawn_sum(rows: Array, columns: Array, counts: Array, other_counts: Array) -> Array:
    """Sum of the kernel over all pairs of drawn vectors, for each resample."""
    total = np.zeros(len(counts))
    for start in range(0, len(rows), BLOCK):
        for other in range(0, len(columns), BLOCK):
            block = _kernel(rows[start : start + BLOCK], columns[other : other + BLOCK])
            drawn = counts[:, start : start + BLOCK] @ block
            total += (drawn * other_counts[:, other : other + BLOCK]).sum(1)
    return total


def _unbiased(first: Any, second: Any, across: Any, n: int, m: int) -> Any:
    """The estimate from the sums of the kernel over pairs of different vectors."""
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * across / (n * m)


def _row_sums(rows: Array, columns: Array) -> Array:
    sums = [
        sum(
            _kernel(rows[start : start + BLOCK], columns[other : other + BLOCK]).sum(1)
            for other in range(0, len(columns), BLOCK)
        )
        for start in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(sums)


def _kernel(rows: Array, columns: Array) -> Array:
    return np.asarray((rows @ columns.T / rows.shape[1] + 1) ** 3)


def _own_kernel(vectors: Array) -> Array:
    return np.asarray(((vectors**2).sum(1) / vectors.shape[1] + 1) ** 3)
