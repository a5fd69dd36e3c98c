"""Finds the nearest training pictures of samples, and the share of copies."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

COPY_RATIO = 1 / 3
BLOCK = 1024  # rows and columns of the matrix of distances held at once

Vectors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest reference of each query."""

    distances: NDArray[np.float64]  # (N,), root mean square over the vector's entries
    indices: NDArray[np.int64]  # (N,), into the references

    def repeat(self, counts: NDArray[np.int64]) -> "Neighbours":
        """Repeat each query as often as `counts` (N,) says."""
        return Neighbours(self.distances.repeat(counts), self.indices.repeat(counts))


class Rows(Protocol):
    """Vectors (M, D) of which a few rows at a time are read, such as an array."""

    def __len__(self) -> int:
        """Number of vectors."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.generic]:
        """Some of them, (rows, D)."""


def nearest(queries: NDArray[np.generic], references: Rows) -> Neighbours:
    """Find the nearest of `references` (M, D) to each of `queries` (N, D); the first of equals.

    Memory is that of one block of distances, for any N and M.

    Distances are first estimated by a matrix product, which is many times as fast as differences,
    but loses small distances to rounding, and small distances matter here. So each reference that
    may be the nearest, given a bound on the rounding, is compared again by differences.
    """
    best = np.full(len(queries), np.inf)  # mean squares
    indices = np.zeros(len(queries), dtype=np.int64)
    middle = references[:BLOCK].astype(np.float64).mean(0)
    for start in range(0, len(queries), BLOCK):
        rows = slice(start, start + BLOCK)
        vectors = queries[rows].astype(np.float64)
        for other in range(0, len(references), BLOCK):
            columns = references[other : other + BLOCK].astype(np.float64)
            lowest = _lower_bounds(vectors - middle, columns - middle)
            # The most likely first, so that hardly any other has to be compared by differences.
            first = np.arange(len(vectors)), lowest.argmin(1)
            _compare(vectors, columns, first, best[rows], indices[rows], other)
            rest = lowest <= best[rows, None]
            rest[first] = False
            row, column = np.nonzero(rest)
            _compare(vectors, columns, (row, column), best[rows], indices[rows], other)
    return Neighbours(np.sqrt(best), indices)


def nearest_or_mirrored(
    queries: NDArray[np.generic], references: Rows, mirrored_references: Rows
) -> Neighbours:
    """Find the nearest like `nearest`, also among mirrored references: training flips pictures."""
    plain, mirrored = nearest(queries, references), nearest(queries, mirrored_references)
    better = mirrored.distances < plain.distances
    return Neighbours(
        np.where(better, mirrored.distances, plain.distances),
        np.where(better, mirrored.indices, plain.indices),
    )


def share_closer_than_all(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples that are closer to a training picture than every held-out picture.

    Samples that are as new as the N held-out pictures give 1 / (N + 1) on average; copies give 1.
    """
    return float((samples.distances < held_out.distances.min()).mean())


def share_closer_than_median(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples that are closer to a training picture than the median held-out picture.

    Samples that are as new as held-out pictures give 0.5; copies give 1. Steadier for few pictures.
    """
    return float((samples.distances < np.median(held_out.distances)).mean())


def share_of_copies(samples: Neighbours, held_out: Neighbours) -> float:
    """Share of the samples whose nearest training picture is less than a third as far away as any
    held-out picture's. New pictures give 0.

    The third is that of Gu et al., arXiv:2310.02664, who compare with the second nearest training
    picture instead.
    """
    return float((samples.distances < held_out.distances.min() * COPY_RATIO).mean())


SHARES = {
    "share_of_copies": share_of_copies,
    "share_closer_than_all_val": share_closer_than_all,
    "share_closer_than_median_val": share_closer_than_median,
}


def _lower_bounds(rows: Vectors, columns: Vectors) -> Vectors:
    """Compute lower bounds on the mean squared difference of each pair, (N, M).

    The expanded square, less a bound on rounding. With unit roundoff u, an inner product of length
    D is wrong by at most D u |a| |b| (Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1), and so are the differences that the bound is compared with. Subtracting the
    middle adds a few u (|a|^2 + |b|^2).
    """
    size = rows.shape[1]
    squares, other_squares = (rows**2).sum(1)[:, None], (columns**2).sum(1)
    estimates = squares + other_squares - 2 * (rows @ columns.T)
    unit = np.finfo(np.float64).eps
    estimates -= (2 * size + 16) * unit * (squares + other_squares)
    return np.asarray(estimates / size)


def _compare(
    rows: Vectors,
    columns: Vectors,
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    best: Vectors,
    indices: NDArray[np.int64],
    offset: int,
) -> None:
    """Compare some pairs by differences, and write the nearest into `best` and `indices`.

    Args:
        rows, columns: (N, D) and (M, D).
        pairs: Indices of the rows, ascending, and of the columns, ascending for each row.
        best: Mean squared differences of the nearest so far, (N,).
        indices: Indices of the nearest so far, (N,).
        offset: Index of the first column.
    """
    for start in range(0, len(pairs[0]), BLOCK):
        row, column = (each[start : start + BLOCK] for each in pairs)
        squares = ((rows[row] - columns[column]) ** 2).mean(1)
        # Sorted by distance, then by index; the first of each row counts.
        order = np.lexsort((column, squares, row))
        row, first = np.unique(row[order], return_index=True)
        chosen = order[first]
        numbers = column[chosen] + offset
        better = (squares[chosen] < best[row]) | (
            (squares[chosen] == best[row]) & (numbers < indices[row])
        )
        best[row[better]] = squares[chosen][better]
        indices[row[better]] = numbers[better]
