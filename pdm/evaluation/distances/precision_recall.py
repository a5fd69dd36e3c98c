"""Precision, recall, density and coverage: is what was drawn like real pictures, and are all kinds
of real pictures drawn?

A set is taken to fill balls about its members, each reaching to the member's k-th nearest neighbour
in the set. Precision and recall (Kynkäänniemi et al., arXiv:1904.06991) are the shares of one set
within the balls of the other; density and coverage (Naeem et al., arXiv:2002.09797) use the balls
of real pictures alone, which outliers among the samples cannot blow up. Memory is that of one block
of distances, whatever the sets.
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
    """What each picture adds to the scores, which are the means of these values."""

    of_judged: dict[str, Array]  # "precision" and "density", (N,)
    of_reference: dict[str, Array]  # "recall" and "coverage", (M,)

    def values(self) -> dict[str, float]:
        """`precision`, `recall`, `density` and `coverage`. Density alone may exceed 1."""
        both = self.of_judged | self.of_reference
        names = ("precision", "recall", "density", "coverage")
        return {name: float(both[name].mean()) for name in names}


def manifold_scores(judged: Array, reference: Array) -> ManifoldScores:
    """Scores of features (N, D) against (M, D).

    For few pictures k is at most one less than the smaller set.
    """
    nearest = min(NUM_NEAREST, len(judged) - 1, len(reference) - 1)
    own_radii = squared_radii(judged, nearest)
    radii = squared_radii(reference, nearest)
    within_real = np.zeros(len(judged), np.int64)  # balls of the reference that hold each picture
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
    """Squared distance of each of (N, D) to its `nearest`-th neighbour among the others, (N,)."""
    best = np.full((len(vectors), nearest), np.inf)
    for rows, columns, squares in _blocks(vectors, vectors):
        if rows == columns:
            np.fill_diagonal(squares, np.inf)
        together = np.concatenate([best[rows], squares], axis=1)
        best[rows] = np.partition(together, nearest - 1, axis=1)[:, :nearest]
    return np.asarray(best.max(1))


def _blocks(first: Array, second: Array) -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """Squared distances of all pairs, in blocks: their rows, their columns, (rows, columns)."""
    # About a common middle, or the expanded square loses what little tells distant vectors apart.
    middle = second[:BLOCK].mean(0)
    for start in range(0, len(first), BLOCK):
        rows = slice(start, min(start + BLOCK, len(first)))
        ours = first[rows] - middle
        for other in range(0, len(second), BLOCK):
            columns = slice(other, min(other + BLOCK, len(second)))
            theirs = second[columns] - middle
            squares = (ours**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * ours @ theirs.T
            yield rows, columns, np.maximum(squares, 0)
