"""Kernel distance: the unbiased squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

On Inception features this is the KID (Bińkowski et al., arXiv:1801.01401). Unlike the Fréchet
distance, it is unbiased for any number of pictures, and may be negative.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdm.evaluation.distances.moments import Array

BLOCK = 1024  # rows of the kernel matrix held at once
MAX_VECTORS = 2**16  # compared vectors of each set; the number of pairs is quadratic


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """The estimate and its standard deviation."""

    value: float
    deviation: float | None  # None if a set has fewer than 3 pictures


@dataclass(frozen=True, slots=True)
class KernelSums:
    """Sums of each vector's kernel with all others of its set, and with all of the other set.

    Every distance follows from these sums, which take nearly all of the time.
    """

    within: tuple[Array, Array]  # (N,) and (M,)
    across: tuple[Array, Array]  # (N,) and (M,)

    def distance(self) -> KernelDistance:
        """Compute the distance. Its deviation is that of the two-sample jackknife, which is too
        large for sets that hardly differ."""
        n, m = (len(sums) for sums in self.within)
        totals = self.within[0].sum(), self.within[1].sum(), self.across[0].sum()
        value = float(_unbiased(*totals, n, m))
        if min(n, m) < 3:
            return KernelDistance(value, None)
        without_first = _unbiased(
            totals[0] - 2 * self.within[0], totals[1], totals[2] - self.across[0], n - 1, m
        )
        without_second = _unbiased(
            totals[0], totals[1] - 2 * self.within[1], totals[2] - self.across[1], n, m - 1
        )
        variance = (n - 1) * np.var(without_first) + (m - 1) * np.var(without_second)
        return KernelDistance(value, float(np.sqrt(variance)))

    def influences(self) -> tuple[Array, Array]:
        """Compute the influence of each vector to first order, (N,) and (M,), of mean 0; see
        `pdm.evaluation.distances.influence`."""
        n, m = (len(sums) for sums in self.within)
        first = 2 * self.within[0] / (n - 1) - 2 * self.across[0] / m
        second = 2 * self.within[1] / (m - 1) - 2 * self.across[1] / n
        return first - first.mean(), second - second.mean()


def kernel_sums(first: Array, second: Array) -> KernelSums:
    """Sum the kernels of features (N, D) and (M, D), at least 2 of each, over all pairs."""
    across = np.zeros(len(first)), np.zeros(len(second))
    for rows, columns, block in _blocks(first, second):
        across[0][rows] += block.sum(1)
        across[1][columns] += block.sum(0)
    return KernelSums((_within(first), _within(second)), across)


def kernel_distance(first: Array, second: Array) -> KernelDistance:
    """Compute the distance between features (N, D) and (M, D), at least 2 of each."""
    return kernel_sums(first, second).distance()


def resampled_kernel_distances(
    first: Array, second: Array, counts: Array, other_counts: Array
) -> Array:
    """Compute the distances of resampled sets, (B,).

    Args:
        first: Features (N, D).
        second: Features (M, D).
        counts: Multiplicity of each of `first` in each of B resamples, (B, N).
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
    """Sum the kernel over all pairs of drawn vectors, for each resample."""
    total = np.zeros(len(counts))
    for here, there, block in _blocks(rows, columns):
        total += ((counts[:, here] @ block) * other_counts[:, there]).sum(1)
    return total


def _unbiased(first: Any, second: Any, across: Any, n: int, m: int) -> Any:
    """Compute the estimate from sums of the kernel over pairs of different vectors."""
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * across / (n * m)


def _within(vectors: Array) -> Array:
    """Sum each vector's kernel with all others of its set, (N,)."""
    sums = -_own_kernel(vectors)
    for start in range(0, len(vectors), BLOCK):
        rows = slice(start, start + BLOCK)
        for _, columns, block in _blocks(vectors[rows], vectors[start:]):
            sums[rows] += block.sum(1)
            if columns.start:  # a block off the diagonal also stands for its mirror image
                sums[start:][columns] += block.sum(0)
    return sums


def _blocks(first: Array, second: Array) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the kernel of all pairs in blocks: rows, columns, values (rows, columns)."""
    for start in range(0, len(first), BLOCK):
        for other in range(0, len(second), BLOCK):
            rows, columns = slice(start, start + BLOCK), slice(other, other + BLOCK)
            yield rows, columns, _kernel(first[rows], second[columns])


def _kernel(rows: Array, columns: Array) -> Array:
    return np.asarray((rows @ columns.T / rows.shape[1] + 1) ** 3)


def _own_kernel(vectors: Array) -> Array:
    return np.asarray(((vectors**2).sum(1) / vectors.shape[1] + 1) ** 3)
