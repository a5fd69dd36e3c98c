"""Mean and covariance of feature vectors in float64, with merging of parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of the vectors so far. Immutable: `merged` returns new ones.

    Stores centred sums, not sums of squares, which lose all digits if the mean is large.
    """

    count: int
    mean: Array  # (D,)
    scatter: Array  # (D, D), sum over vectors of (x - mean) (x - mean)^T

    @classmethod
    def of(cls, vectors: NDArray[np.floating]) -> "Moments":
        """Moments of (N, D) vectors."""
        values = vectors.astype(np.float64)
        mean = values.mean(0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred)

    @classmethod
    def counted(cls, vectors: Array, counts: Array) -> "Moments":
        """Moments of (N, D) vectors, each with its multiplicity in `counts` (N,)."""
        present = counts > 0
        values, weights = vectors[present], counts[present, None]
        mean = (weights * values).sum(0) / weights.sum()
        centred = np.sqrt(weights) * (values - mean)
        return cls(int(weights.sum()), mean, centred.T @ centred)

    def merged(self, other: "Moments") -> "Moments":
        """Moments of both sets together (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        weight = self.count * other.count / count
        return Moments(count, mean, self.scatter + other.scatter + weight * np.outer(shift, shift))

    @property
    def covariance(self) -> Array:
        """Unbiased, (D, D). Needs two vectors."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 vectors; got {self.count}")
        return self.scatter / (self.count - 1)
