"""Nearest neighbours of pictures: estimates that are measured again, and differences of all pairs.

The peer is what the evaluator did until November 2026. Both must find the same neighbours at the
same distances, to the bit.
"""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.evaluation.memorisation.neighbours import Neighbours, nearest

PEER_BLOCK = 512

Vectors = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Size:
    num_queries: int
    num_references: int
    lengths: tuple[int, ...]
    rounds: int


# 32x32 thumbnails of squares, 32x64 of landscapes, and features of `random_conv`.
FULL = Size(num_queries=1024, num_references=4096, lengths=(3072, 6144, 64), rounds=3)
QUICK = Size(num_queries=16, num_references=64, lengths=(48,), rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Pairs a second and core."""
    lines = []
    with limited_threads(1):
        for length in size.lengths:
            sets = (
                _thumbnails(size.num_queries, length, 1),
                _thumbnails(size.num_references, length),
            )
            ours, theirs = nearest(*sets), _by_differences(*sets)
            assert np.array_equal(ours.distances, theirs.distances)
            assert np.array_equal(ours.indices, theirs.indices)
            jobs = (partial(nearest, *sets), partial(_by_differences, *sets))
            seconds = interleaved(size.rounds, *(partial(timed, job) for job in jobs))
            pairs = size.num_queries * size.num_references / 1e6
            mine, peers = (speeds(pairs, [one.cpu for one in side]) for side in seconds)
            lines.append(
                compare(
                    f"neighbours_{length}",
                    f"nearest of {size.num_references:,} to each of {size.num_queries:,} vectors "
                    f"of {length}, against differences of all pairs",
                    mine,
                    peers,
                    "million pairs/s and core",
                    note="the same neighbours and distances, bit for bit",
                )
            )
    return lines


def _thumbnails(count: int, length: int, seed: int = 0) -> Vectors:
    """Vectors in clusters, of which some are equal."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, length))
    found = centres[random.integers(50, size=count)] + random.standard_normal((count, length))
    found[::9] = found[0]
    return (0.3 * found).astype(np.float32)


def _by_differences(queries: Vectors, references: Vectors) -> Neighbours:
    best = np.full(len(queries), np.inf)
    indices = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), PEER_BLOCK):
        rows = queries[start : start + PEER_BLOCK].astype(np.float64)
        here = slice(start, start + len(rows))
        for other in range(0, len(references), PEER_BLOCK):
            columns = references[other : other + PEER_BLOCK].astype(np.float64)
            squares = np.stack([((rows - column) ** 2).mean(1) for column in columns], axis=1)
            closest = squares.argmin(1)
            values = squares[np.arange(len(rows)), closest]
            better = values < best[here]
            indices[here] = np.where(better, closest + other, indices[here])
            best[here] = np.where(better, values, best[here])
    return Neighbours(np.sqrt(best), indices)
