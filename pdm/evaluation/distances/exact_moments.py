"""Moments of features, summed without rounding: the same bits in any order.

Each value is rounded once to a multiple of `UNIT` (2^-20). After that all sums are integer sums,
and exact. So the result is bit for bit independent of picture order, batch size, number of workers
or threads, and processor. Moments of parts are merged by addition. No picture is stored.

The rounding adds UNIT^2 / 12 = 8e-14 to each variance. For features with a standard deviation of
0.1 or more this is below the precision of float32 features (docs/precision.md). Sums have 122 bits,
enough for `MAX_COUNT` vectors of the largest values.

Fast multiplication of integers: as long as sums stay below 2^53, float64 represents them exactly in
any order, so a plain matrix product is enough. Before they could exceed it, they are moved to two
64-bit integers each. Numbers beyond 2^23 (values of 8 and more) are split into two halves; features
have few such values.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from pdm.errors import QualityGate
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.wide_integers import MAX_ADDEND, MAX_BITS, WideIntegers

UNIT = 2.0**-20
CHUNK = 1024  # vectors multiplied at once
HALF_BITS = 24  # bits of the low part of a split number, with sign: -2^23 to 2^23
EXACT = 2.0**53  # float64 represents all integers up to here
MAX_VALUE_BITS = 2 * HALF_BITS - 3  # bits of a value in `UNIT`
MAX_VALUE = 2.0**MAX_VALUE_BITS * UNIT  # about 33 million
MAX_COUNT = 2 ** (MAX_BITS - 2 * MAX_VALUE_BITS)  # about 4 billion


class ExactMoments:
    """Count, sum and sum of products of the vectors seen so far.

    Args:
        size: Length of the vectors, D. Memory is that of three D x D matrices and a chunk.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self._total = WideIntegers(size)
        self._products = WideIntegers(size, size)  # lower triangle
        self._recent = np.zeros((size, size), order="F")  # not yet added to _products
        self._largest = 0.0  # bound on the sums in _recent
        self._waiting = np.empty((CHUNK, size))
        self._num_waiting = 0

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Add (N, D) vectors.

        Raises:
            ValueError: A value is not finite or beyond `MAX_VALUE`, or there would be more than
                `MAX_COUNT` vectors. Then no vector is added.
        """
        if len(vectors) and not max(vectors.max(), -vectors.min()) < MAX_VALUE:
            raise ValueError(f"features must be finite and below {MAX_VALUE:,.0f}")
        self._count(len(vectors))
        while len(vectors):
            taken = vectors[: CHUNK - self._num_waiting]
            places = self._waiting[self._num_waiting : self._num_waiting + len(taken)]
            np.multiply(taken, 1 / UNIT, out=places)
            self._num_waiting += len(taken)
            if self._num_waiting == CHUNK:
                self._multiply()
            vectors = vectors[len(taken) :]

    def merge(self, other: Self) -> None:
        """Add the vectors of `other`.

        Raises:
            ValueError: There would be more than `MAX_COUNT` vectors.
        """
        self._count(other.count)
        for moments in (self, other):
            moments._settle()
        self._total.merge(other._total)
        self._products.merge(other._products)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the complete state, to be stored or sent to another process. Equal vectors give
        equal arrays, in any order."""
        self._settle()
        total_high, total_low = self._total.words()
        high, low = self._products.words()
        return {
            "count": np.array(self.count),
            "total_high": total_high.copy(),
            "total_low": total_low.copy(),
            "products_high": np.ascontiguousarray(np.tril(high)),
            "products_low": np.ascontiguousarray(np.tril(low)),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restore from the result of `arrays`."""
        words = {name: array.astype(np.int64) for name, array in arrays.items()}
        moments = cls(len(words["total_low"]))
        moments.count = int(words["count"])
        moments._total = WideIntegers.of_words(words["total_high"], words["total_low"])
        moments._products = WideIntegers.of_words(words["products_high"], words["products_low"])
        return moments

    def moments(self) -> Moments:
        """Return the moments in float64, the only rounding after that of the vectors."""
        self._settle()
        middle = np.rint(self._total.as_float() / self.count).astype(np.int64)
        total = self._total.as_ints()
        rest = [t - self.count * m for t, m in zip(total, middle.tolist(), strict=True)]
        centred = WideIntegers.of_words(*self._products.words())
        # Sum of (x - m) (x - m)^T = sum of x x^T - m t^T - r m^T, with t = count * m + r.
        _subtract_outer(centred, middle.tolist(), total)
        _subtract_outer(centred, rest, middle.tolist())
        lower = np.tril(centred.as_float())
        excess = np.array(rest, np.float64)
        scatter = lower + np.tril(lower, -1).T - np.outer(excess, excess) / self.count
        return Moments(self.count, (middle + excess / self.count) * UNIT, scatter * UNIT**2)

    def _count(self, more: int) -> None:
        if self.count + more > MAX_COUNT:
            raise ValueError(f"more than {MAX_COUNT:,} vectors; take their moments in parts")
        self.count += more

    def _multiply(self) -> None:
        """Add the pending vectors to the sums."""
        values = self._waiting[: self._num_waiting]
        self._num_waiting = 0
        if not len(values):
            return
        np.rint(values, out=values)
        self._total.add(values.astype(np.int64).sum(0))
        largest = max(values.max(), -values.min())
        if largest > 2.0 ** (HALF_BITS - 1):
            values = self._low_parts(values)
            largest = 2.0 ** (HALF_BITS - 1)
        rows = min(len(values), int(EXACT / max(largest, 1.0) ** 2))
        for start in range(0, len(values), rows):
            self._add_products(values[start : start + rows], rows * largest**2)

    def _add_products(self, values: Array, growth: float) -> None:
        """Add the products of vectors whose sums are at most `growth`."""
        if self._largest + growth > EXACT:
            self._settle_recent()
        self._largest += growth
        self._recent = dsyrk(1.0, values.T, beta=1.0, c=self._recent, overwrite_c=1, lower=1)

    def _low_parts(self, values: Array) -> Array:
        """Add all products that involve high parts, and return the low parts."""
        high = np.rint(values / 2.0**HALF_BITS)
        low = values - high * 2.0**HALF_BITS
        split = np.flatnonzero(high.any(1))
        largest = np.abs(high).max() * 2.0 ** (HALF_BITS - 1)  # |high| is no larger than |low|
        num_rows = int(EXACT / 2 / largest)  # the two halves of `across` are added
        for start in range(0, len(split), num_rows):
            rows = split[start : start + num_rows]
            across = (high[rows].T @ low[rows]).astype(np.int64)
            squares = (high[rows].T @ high[rows]).astype(np.int64)
            self._products.add(across + across.T, HALF_BITS)
            self._products.add(squares, 2 * HALF_BITS)
        return np.asarray(low)

    def _settle(self) -> None:
        """Add everything that is pending."""
        self._multiply()
        self._settle_recent()

    def _settle_recent(self) -> None:
        """Move the float64 sums to the integers."""
        self._products.add(self._recent.astype(np.int64))
        self._recent[:] = 0
        self._largest = 0.0


def moments_of(vectors: Array) -> Moments:
    """Compute the moments of (N, D) vectors, bit for bit independent of their order.

    Raises:
        QualityGate: The vectors are too large, or too many, for exact sums.
    """
    exact = ExactMoments(vectors.shape[1])
    try:
        exact.add(vectors)
    except ValueError as error:
        raise QualityGate(f"the Fréchet distance cannot be computed: {error}") from error
    return exact.moments()


def _subtract_outer(
    numbers: WideIntegers, first: list[int], second: list[int], shift_bits: int = 0
) -> None:
    """Subtract the outer product of two integer vectors, times 2^shift_bits."""
    sizes = [max(map(abs, vector)) for vector in (first, second)]
    if sizes[0] * sizes[1] <= MAX_ADDEND:
        numbers.add(np.outer(np.negative(first), second), shift_bits)
        return
    first_is_larger = sizes[0] > sizes[1]
    parts = zip(
        *(divmod(number, 1 << HALF_BITS) for number in (first if first_is_larger else second)),
        strict=True,
    )
    for part, shift in zip(map(list, parts), (shift_bits + HALF_BITS, shift_bits), strict=True):
        if first_is_larger:
            _subtract_outer(numbers, part, second, shift)
        else:
            _subtract_outer(numbers, first, part, shift)
