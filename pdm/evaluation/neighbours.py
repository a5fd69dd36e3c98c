"""Nearest training pictures of samples, and whether the samples are copies of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COPY_RATIO = 1 / 3
BLOCK = 512  # rows and columns of the matrix of distances held at once


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest reference of each query."""

    distances: NDArray[np.float64]  # (N,), root mean square over the vector's entries
    indices: NDArray[np.int64]  # (N,), into the references

    def repeated(self, counts: NDArray[np.int64]) -> "Neighbours":
        """Each query as often as `counts` (N,) says."""
        return Neighbours(self.distances.repeat(counts), self.indices.repeat(counts))


def nearest(queries: NDArray[np.generic], references: NDArray[np.generic]) -> Neighbours:
    """Nearest of `references` (M, D) to each of `queries` (N, D); the first of equals.

    Memory is that of one block of distances, whatever N and M.
    """
    best = np.full(len(queries), np.inf)
    indices = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        rows = queries[start : start + BLOCK].astype(np.float64)
        here = slice(start, start + len(rows))
        for other in range(0, len(references), BLOCK):
            squares = _mean_squares(rows, references[other : other + BLOCK].astype(np.float64))
            closest = squares.argmin(1)
            values = squares[np.arange(len(rows)), closest]
            better = values < best[here]
            indices[here] = np.where(better, closest + other, indices[here])
            best[here] = np.where(better, values, best[here])
    return Neighbours(np.sqrt(best), indices)


def nearest_or_mirrored(
    queries: NDArray[np.generic],
    references: NDArray[np.generic],
    mirrored_references: NDArray[np.generic],
) -> Neighbours:
    """As `nearest`, where a reference may also be met mirrored: training flips its pictures."""
    plain, mirrored = nearest(queries, references), nearest(queries, mirrored_references)
    better = mirrored.distances < plain.distances
    return Neighbours(
        np.where(better, mirrored.distances, plain.distances),
        np.where(better, mirrored.indices, plain.indices),
    )


def share_closer_than_all(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples that lie closer to a training picture than every held-out picture does.

    Samples that are as new as the N held-out pictures give 1 / (N + 1) on average; copies give 1.
    """
    return float((samples.distances < held_out.distances.min()).mean())


def share_closer_than_median(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples closer to a training picture than the median held-out picture is.

    Samples that are as new as held-out pictures give 0.5; copies give 1. Steadier for few pictures.
    """
    return float((samples.distances < np.median(held_out.distances)).mean())


def share_of_copies(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples whose nearest training picture is less than a third as far as any
    held-out picture's. New pictures give 0; one copy among many does not.

    The third is that of Gu et al., arXiv:2310.02664, who compare with the second nearest training
    picture instead.
    """
    return float((samples.distances < held_out.distances.min() * COPY_RATIO).mean())


SHARES = {
    "share_of_copies": share_of_copies,
    "share_closer_than_all_val": share_closer_than_all,
    "share_closer_than_median_val": share_closer_than_median,
}


def _mean_squares(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean squared difference of each pair, (N, M). By differences, not by the expanded square:
    that loses the small distances that matter here."""
    return np.stack([((rows - column) ** 2).mean(1) for column in columns], axis=1)
