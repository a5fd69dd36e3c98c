"""Arrays of integers of up to 122 bits, for sums that must be exact.

A number is `high * 2^60 + low`, two int64 words. Carries are delayed until the low word could
overflow, so an addition costs hardly more than one of int64.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

LOW_BITS = 60
MAX_BITS = 122  # bits of a number, without sign
MAX_ADDEND = 2**56  # magnitude of an addend, before any shift
MAX_LOW = 2**62  # limit of the low words before a carry


class WideIntegers:
    """An array of exact integers, initially zero."""

    def __init__(self, *shape: int) -> None:
        self._high = np.zeros(shape, np.int64, order="F")
        self._low = np.zeros(shape, np.int64, order="F")
        self._largest_low = 0  # bound on the magnitude of the low words

    @classmethod
    def of_words(cls, high: Integers, low: Integers) -> Self:
        """Restore numbers from their `words`."""
        numbers = cls(*high.shape)
        numbers._high[...], numbers._low[...] = high, low
        numbers._largest_low = MAX_LOW
        return numbers

    def words(self) -> tuple[Integers, Integers]:
        """Return high and low words. Equal numbers have equal words: -2^59 <= low < 2^59."""
        self._carry()
        return self._high, self._low

    def add(self, values: Integers, shift_bits: int = 0) -> None:
        """Add `values * 2^shift_bits`; no value may be larger than `MAX_ADDEND`."""
        if shift_bits >= LOW_BITS:
            self._high += values << (shift_bits - LOW_BITS)
            return
        if not shift_bits:
            self._make_room(MAX_ADDEND)
            self._low += values
            return
        self._make_room(2**LOW_BITS)
        above = values >> (LOW_BITS - shift_bits)
        self._high += above
        self._low += (values - (above << (LOW_BITS - shift_bits))) << shift_bits

    def merge(self, other: Self) -> None:
        """Add the numbers of another array of this shape."""
        high, low = other.words()
        self._make_room(2 ** (LOW_BITS - 1))
        self._high += high
        self._low += low

    def as_float(self) -> NDArray[np.float64]:
        """Convert to float64, with a relative error of at most 2^-51."""
        high, low = self.words()
        return np.ldexp(high.astype(np.float64), LOW_BITS) + low

    def as_ints(self) -> list[int]:
        """Convert a one-dimensional array to Python's integers."""
        high, low = self.words()
        return [(h << LOW_BITS) + x for h, x in zip(high.tolist(), low.tolist(), strict=True)]

    def _make_room(self, growth: int) -> None:
        """Carry if low words could otherwise grow too far."""
        if self._largest_low + growth > MAX_LOW:
            self._carry()
        self._largest_low += growth

    def _carry(self) -> None:
        half = 2 ** (LOW_BITS - 1)
        if self._largest_low < half:
            return
        above = (self._low + half) >> LOW_BITS
        self._high += above
        self._low -= above << LOW_BITS
        self._largest_low = half
