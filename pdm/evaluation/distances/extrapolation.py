"""The Fréchet distance extrapolated to infinitely many pictures.

Its bias is proportional to one over the number of pictures N (Chong and Forsyth, arXiv:1911.07023).
So it is computed for growing parts of both sets, and a straight line in 1 / N is extrapolated to 0.
Both sets are subsampled, not only the samples, since held-out pictures are also few here.
"""

import numpy as np
from numpy.typing import NDArray

from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Array

SHARES = np.linspace(0.5, 1, 11)
INFINITE = 11  # separates these random numbers from all others


def infinite_frechet_distance(first: Array, second: Array, per_picture: int, seed: int) -> float:
    """Extrapolate the distance of features (N, D) and (M, D). May be negative.

    Args:
        first, second: `per_picture` consecutive vectors of each picture.
        per_picture: Number of vectors of a picture, which are kept or left out together.
        seed: Seed of the order in which pictures are chosen.
    """
    orders = [
        np.random.default_rng([seed, INFINITE, place]).permutation(len(vectors) // per_picture)
        for place, vectors in enumerate((first, second))
    ]
    values = []
    for share in SHARES:
        parts = [
            _moments_of_some(vectors, order, share, per_picture)
            for vectors, order in zip((first, second), orders, strict=True)
        ]
        values.append(frechet_distance(*(part.moments() for part in parts)))
    slope_and_value: Array = np.polyfit(1 / SHARES, values, 1)
    return float(slope_and_value[1])


def _moments_of_some(
    vectors: Array, order: NDArray[np.int64], share: float, per_picture: int
) -> ExactMoments:
    count = max(2, round(share * len(order)))
    chosen = np.sort(order[:count])
    moments = ExactMoments(vectors.shape[1])
    moments.add(vectors.reshape(len(order), per_picture, -1)[chosen].reshape(-1, vectors.shape[1]))
    return moments
