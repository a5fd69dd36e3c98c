"""Moments of features, summed without rounding: the same bits in any order.

Each value is rounded once to a multiple of `UNIT` (2^-20); from there on all sums are of whole
numbers, and exact. So neither the order of the pictures nor the size of batches, the number of
workers, of threads, or the kind of processor changes a bit of the result, and moments of parts are
merged by adding them. Nothing is kept of a picture but its share of the sums.

The rounding adds UNIT^2 / 12 = 8e-14 to each variance, which for features of a spread of 0.1 or
more is less than float32 features are good for (docs/precision.md). The sums of squares wrap around
at 2^64 on the way and come out right as long as the spread itself fits: a standard deviation of up
to 64 for a thousand pictures, 9 for fifty thousand.

How whole numbers are multiplied fast: as long as sums stay below 2^53, float64 holds
them exactly whatever the order, so a plain matrix product will do; before they could grow beyond
they are moved over to 64-bit integers. Numbers beyond 2^23 (values of 8 and up) are split into two
halves; features have few such values.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk

from pdm.evaluation.distances.moments import Array, Moments

UNIT = 2.0**-20
CHUNK = 1024  # vectors multiplied at once
HALF_BITS = 24  # of the low part of a split number, with its sign: -2^23 to 2^23
EXACT = 2.0**53  # whole numbers up to here are float64 numbers
EXACT_ROWS = 128  # of products of two halves: their sum cannot become larger than EXACT
MAX_SPREAD = 2.0**62  # of a feature's sum of squares about the mean, in UNIT^2
MAX_VALUE = 2.0 ** (2 * HALF_BITS - 3) * UNIT  # about 33 million

Whole = NDArray[np.int64]


class ExactMoments:
    """Count, sum and sum of products of the vectors seen so far.

    Args:
        size: Length of the vectors, D. Memory is that of two D x D matrices and a chunk.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self._total = np.zeros(size, np.int64)
        self._products = np.zeros((size, size), np.int64, order="F")  # lower triangle, modulo 2^64
        self._recent = np.zeros((size, size), order="F")  # not yet counted into _products
        self._largest = 0.0  # that any sum in _recent can have become
        self._squares = np.zeros(size)  # as floating point, to tell when they do not fit
        self._waiting = np.empty((CHUNK, size))
        self._num_waiting = 0

    def add(self, vectors: NDArray[np.floating]) -> None:
        """Count (N, D) vectors in.

        Raises:
            ValueError: A value is not finite, or beyond `MAX_VALUE`. None of the vectors counts.
        """
        if len(vectors) and not max(vectors.max(), -vectors.min()) < MAX_VALUE:
            raise ValueError(f"features must be finite and below {MAX_VALUE:,.0f}")
        self.count += len(vectors)
        while len(vectors):
            taken = vectors[: CHUNK - self._num_waiting]
            places = self._waiting[self._num_waiting : self._num_waiting + len(taken)]
            np.multiply(taken, 1 / UNIT, out=places)
            self._num_waiting += len(taken)
            if self._num_waiting == CHUNK:
                self._multiply()
            vectors = vectors[len(taken) :]

    def merge(self, other: "ExactMoments") -> None:
        """Count in what `other` has seen."""
        total, products = other.sums()
        self.count += other.count
        self._total += total
        self._products += products
        self._squares += other._squares

    def sums(self) -> tuple[Whole, Whole]:
        """Sum (D,) and sums of products (D, D, lower triangle, modulo 2^64) in `UNIT` and its
        square: with `count` all that there is to be stored, or sent to another process."""
        self._multiply()
        self._settle()
        return self._total, self._products

    @classmethod
    def of_sums(cls, count: int, total: Whole, products: Whole) -> "ExactMoments":
        """What gave these `sums`."""
        moments = cls(len(total))
        moments.count, moments._total, moments._products = count, total.copy(), products.copy("F")
        return moments

    def moments(self) -> Moments:
        """As float64: rounded for the first time since the vectors were.

        Raises:
            ValueError: The vectors spread too far for the sums to fit.
        """
        total, products = self.sums()
        spread = (self._squares - total.astype(np.float64) ** 2 / self.count).max()
        if spread > MAX_SPREAD:
            deviation = np.sqrt(spread / self.count) * UNIT
            raise ValueError(
                f"a feature has a standard deviation of {deviation:.3g}, too large for the moments "
                f"of {self.count:,} pictures; scale the features down"
            )
        middle = np.rint(total / self.count).astype(np.int64)
        rest = (total - self.count * middle).astype(np.float64)
        # Exact: whatever wrapped around on the way wraps back, see the module's docstring.
        across = np.outer(middle, total)
        lower = products - across - across.T + self.count * np.outer(middle, middle)
        centred = np.tril(lower).astype(np.float64)
        centred += np.tril(centred, -1).T - np.outer(rest, rest) / self.count
        return Moments(self.count, (middle + rest / self.count) * UNIT, centred * UNIT**2)

    def _multiply(self) -> None:
        """Count the waiting vectors into the sums."""
        values = self._waiting[: self._num_waiting]
        self._num_waiting = 0
        if not len(values):
            return
        np.rint(values, out=values)
        self._total += values.sum(0).astype(np.int64)
        self._squares += np.einsum("nd,nd->d", values, values)
        largest = max(values.max(), -values.min())
        if largest > 2.0 ** (HALF_BITS - 1):
            values = self._low_parts(values)
            largest = 2.0 ** (HALF_BITS - 1)
        rows = min(len(values), int(EXACT / max(largest, 1.0) ** 2))
        for start in range(0, len(values), rows):
            self._add_products(values[start : start + rows], rows * largest**2)

    def _add_products(self, values: Array, growth: float) -> None:
        """Count in vectors whose sums of products are at most `growth`."""
        if self._largest + growth > EXACT:
            self._settle()
        self._largest += growth
        self._recent = dsyrk(1.0, values.T, beta=1.0, c=self._recent, overwrite_c=1, lower=1)

    def _low_parts(self, values: Array) -> Array:
        """Count in the products that high parts take part in, and leave the low parts."""
        high = np.rint(values / 2.0**HALF_BITS)
        low = values - high * 2.0**HALF_BITS
        split = np.flatnonzero(high.any(1))
        for start in range(0, len(split), EXACT_ROWS):
            rows = split[start : start + EXACT_ROWS]
            across = (high[rows].T @ low[rows]).astype(np.int64)
            squares = (high[rows].T @ high[rows]).astype(np.int64)
            self._products += ((across + across.T) << HALF_BITS) + (squares << (2 * HALF_BITS))
        return np.asarray(low)

    def _settle(self) -> None:
        """Move what was added up in float64 over to the whole numbers."""
        self._products += self._recent.astype(np.int64)
        self._recent[:] = 0
        self._largest = 0.0
