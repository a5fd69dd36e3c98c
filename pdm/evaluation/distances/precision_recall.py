"""Precision, recall, density and coverage: are samples like real pictures, and do they cover all
kinds of real pictures?

The manifold of a set is estimated by balls around its members, each with the distance to the k-th
nearest neighbour as radius. Precision and recall (Kynkäänniemi et al., arXiv:1904.06991) are the
shares of one set within the balls of the other. Density and coverage (Naeem et al.,
arXiv:2002.09797) only use the balls of real pictures, so outliers among the samples cannot inflate
them. Memory is that of one block of distances, for sets of any size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.evaluation.distances.moments import Array

NUM_NEAREST = 5  # k, as in Naeem et al.
BLOCK = 1024  # rows and columns of the matrix of distances held at once


@dataclass(frozen=True, slots=True)
class ManifoldScores:
    """Contributions of each picture to the scores, which are their means."""

    of_judged: dict[str, Array]  # "precision" and "density", (N,)
    of_reference: dict[str, Array]  # "recall" and "coverage", (M,)

    def values(self) -> dict[str, float]:
        """Return `precision`, `recall`, `density` and `coverage`. Only density may exceed 1."""
        both = self.of_judged | self.of_reference
        names = ("precision", "recall", "density", "coverage")
        return {name: float(both[name].mean()) for name in names}


def manifold_scores(judged: Array, reference: Array) -> ManifoldScores:
    """Compute the scores of features (N, D) against (M, D).

    With few pictures, k is limited to the size of the smaller set minus one.
    """
    nearest = min(NUM_NEAREST, len(judged) - 1, len(reference) - 1)
    own_radii = squared_radii(judged, nearest)
    radii = squared_radii(reference, nearest)
    within_real = np.zeros(len(judged), np.int64)  # balls of the reference around each picture
    within_judged = np.zeros(len(reference), np.int64)
    closest = np.full(len(reference), np.inf)
    for rows, columns, squares in _blocks(judged, reference):
        within_real[rows] += (squares <= radii[columns]).sum(1)
        within_judged[columns] += (squares <= own_radii[rows, None]).sum(0)
        closest[columns] = np.minimum(closest[columns], squares.min(0))
    return ManifoldScores(
        {"precision": _shares(within_real > 0), "density": within_real / nearest},
        {"recall": _shares(within_judged > 0), "coverage": _shares(closest <= radii)},
    )


def _shares(members: NDArray[np.bool_]) -> Array:
    return members.astype(np.float64)


def squared_radii(vectors: Array, nearest: int) -> Array:
    """Compute the squared distance of each of (N, D) to its `nearest`-th neighbour in the set,
    (N,)."""
    best = np.full((len(vectors), nearest), np.inf)
    for rows, columns, squares in _blocks(vectors, vectors):
        if rows == columns:
            np.fill_diagonal(squares, np.inf)
        together = np.concatenate([best[rows], squares], axis=1)
        best[rows] = np.partition(together, nearest - 1, axis=1)[:, :nearest]
    return np.asarray(best.max(1))


def _blocks(first: Array, second: Array) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """Yield squared distances of all pairs in blocks: rows, columns, values (rows, columns)."""
    # Centred, or the expanded square loses the small differences of vectors far from 0.
    middle = second[:BLOCK].mean(0)
    for start in range(0, len(first), BLOCK):
        rows = slice(start, min(start + BLOCK, len(first)))
        ours = first[rows] - middle
        for other in range(0, len(second), BLOCK):
            columns = slice(other, min(other + BLOCK, len(second)))
            theirs = second[columns] - middle
            squares = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
            yield rows, columns, np.maximum(squares, 0)
