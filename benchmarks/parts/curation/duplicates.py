"""Near-duplicate search over a million hashes of 64 bits, against comparing all pairs in numpy.

Random hashes, into which pairs that differ in 0 to 8 bits are planted. The brute force compares
each of a slice of the rows with all that follow, at once as one would write it, and in blocks that
fit the processor's cache; its time for all pairs is that of the slice's, times all over these.
"""

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import Seconds, interleaved, timed
from pdm.curation.curate.duplicates.hashes import near_pairs

MAX_BITS = 8
BLOCK = 2**15  # hashes that are compared at once by the brute force
SEED = 11

Hashes = NDArray[np.uint64]
Pairs = set[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_hashes: int
    num_planted: int
    slice_rows: int  # of which the brute force compares all pairs
    rounds: int


FULL = Size(num_hashes=1_000_000, num_planted=2000, slice_rows=500, rounds=5)
QUICK = Size(num_hashes=20_000, num_planted=200, slice_rows=50, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    hashes, planted = _planted(size)
    found = {(int(one), int(other)) for one, other in near_pairs(hashes[:, None], MAX_BITS)}
    brute = _by_blocks(hashes, size.slice_rows)
    assert brute == _by_rows(hashes, size.slice_rows)
    assert brute == {pair for pair in found if pair[0] < size.slice_rows}
    recall = Ratio(
        "dedup_recall",
        f"planted near pairs that are found, of {len(planted):,}",
        len(planted & found),
        len(planted),
        "pairs",
        (len(planted & found) / len(planted),),
        "1",
        f"Of the first {size.slice_rows} rows every near pair was compared with brute force's: "
        f"the same {len(brute)}",
    )
    return [recall, *_speed_lines(hashes, size)]


def _speed_lines(hashes: Hashes, size: Size) -> list[Ratio]:
    share = _pairs_of_slice(size) / (size.num_hashes * (size.num_hashes - 1) / 2)

    def all_pairs(brute_force: Callable[[Hashes, int], Pairs]) -> Seconds:
        taken = timed(lambda: brute_force(hashes, size.slice_rows))
        return Seconds(taken.wall / share, taken.cpu / share)

    seconds = interleaved(
        size.rounds,
        lambda: timed(lambda: near_pairs(hashes[:, None], MAX_BITS)),
        lambda: all_pairs(_by_rows),
        lambda: all_pairs(_by_blocks),
    )
    ours, plain, tuned = ([size.num_hashes / one.cpu for one in side] for side in seconds)
    bytes_each = _peak_bytes(hashes) / size.num_hashes
    return [
        compare(
            "dedup_vs_numpy",
            f"{size.num_hashes:,} hashes, all pairs within {MAX_BITS} bits, against numpy",
            *(ours, plain, "hashes/s and core", "at least 50"),
            f"Brute force is timed on {size.slice_rows} rows against all that follow, {share:.2%} "
            f"of all pairs, and extrapolated; our peak is {bytes_each:.0f} bytes a hash",
        ),
        compare(
            "dedup_vs_blockwise_numpy",
            f"the same, against numpy in blocks of {BLOCK:,} hashes",
            *(ours, tuned, "hashes/s and core"),
        ),
    ]


def _planted(size: Size) -> tuple[Hashes, Pairs]:
    """Hashes, and the pairs that were made near, a tenth of them among the first rows."""
    random = np.random.default_rng(SEED)
    hashes = random.integers(0, 2**64, size.num_hashes, dtype=np.uint64)
    rows = random.permutation(size.num_hashes)[: 2 * size.num_planted].reshape(-1, 2)
    rows[: size.slice_rows // 10, 0] = np.setdiff1d(np.arange(size.slice_rows), rows)[
        : size.slice_rows // 10
    ]
    for place, (one, other) in enumerate(rows):
        bits = random.permutation(64)[: place % (MAX_BITS + 1)]
        flips = np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64), initial=np.uint64(0))
        hashes[other] = hashes[one] ^ flips
    return hashes, {(int(min(pair)), int(max(pair))) for pair in rows}


def _by_rows(hashes: Hashes, num_rows: int) -> Pairs:
    found: Pairs = set()
    for row in range(num_rows):
        distances = np.bitwise_count(hashes[row + 1 :] ^ hashes[row])
        near = np.flatnonzero(distances <= MAX_BITS) + row + 1
        found.update((row, int(other)) for other in near)
    return found


def _by_blocks(hashes: Hashes, num_rows: int) -> Pairs:
    found: Pairs = set()
    for begin in range(0, len(hashes), BLOCK):
        block = hashes[begin : begin + BLOCK]
        for row in range(min(num_rows, begin + len(block))):
            near = np.flatnonzero(np.bitwise_count(block ^ hashes[row]) <= MAX_BITS) + begin
            found.update((row, int(other)) for other in near if other > row)
    return found


def _pairs_of_slice(size: Size) -> float:
    return size.slice_rows * (size.num_hashes - (size.slice_rows + 1) / 2)


def _peak_bytes(hashes: Hashes) -> int:
    tracemalloc.start()
    near_pairs(hashes[:, None], MAX_BITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak
