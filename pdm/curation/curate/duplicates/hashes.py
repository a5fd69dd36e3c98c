"""All pairs of hashes that differ in few bits, without comparing all pairs.

Two hashes that differ in at most d bits agree wholly on some part of their bits: cut into more
blocks than d, they agree on all blocks but d. So the hashes are sorted by the bits of such a part,
once for each part that may be the one, and compared only where that part is equal (multi-index
hashing: Norouzi et al., arXiv:1307.2982; the choice of blocks: Manku et al., WWW 2007). Nothing
within the limit is missed, whatever the hashes are. How many parts, and how long, is chosen by what
sorting and comparing cost.

Memory: under 100 bytes for each hash of 64 bits, and 24 for each pair that is found.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # (N, words): the hash's bits, 64 in each word
Rows = NDArray[np.int64]  # row numbers, or places in a sorted order
Pairs = NDArray[np.int64]  # (P, 2): row numbers, the smaller one first; no pair twice

WORD_BITS = 64
DIGIT_BITS = 16
MAX_PART_BITS = 2 * DIGIT_BITS
MAX_KEPT_BLOCKS = 8
# Measured on 1,000,000 hashes of 64 bits, in seconds: to sort one hash by a digit, to compare a
# pair.
SORTING, COMPARING = 5e-8, 2.5e-9
DENSE = 8  # to compare picked pairs costs about so many times as much as neighbours
CHUNK = 2**17  # pairs compared at once: what a processor's cache holds


@dataclass(frozen=True, slots=True)
class Part:
    """Bits of a hash on which two near ones may agree: ranges [begin, end), one after another."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def num_bits(self) -> int:
        """Its length."""
        return sum(end - begin for begin, end in self.ranges)


def near_pairs(hashes: Hashes, max_distance: int) -> Pairs:
    """Every pair of rows that differ in at most `max_distance` bits.

    Args:
        hashes: (N, words), N below 2**31. Equal rows make pairs too: where many are equal, take
            them together first, for their pairs grow with the square of their number.
        max_distance: 0 or more.
    """
    num_hashes = len(hashes)
    found = np.empty(0, dtype=np.int64)
    for part in parts_to_search(num_hashes, hashes.shape[1] * WORD_BITS, max_distance):
        codes = [
            np.minimum(one, other) * num_hashes + np.maximum(one, other)
            for one, other in _pairs_that_agree(hashes, part, max_distance)
        ]
        if codes:
            found = np.unique(np.concatenate([found, *codes]))
    return np.stack([found // max(num_hashes, 1), found % max(num_hashes, 1)], axis=1)


def parts_to_search(num_hashes: int, num_bits: int, max_distance: int) -> list[Part]:
    """The parts to sort by: any two hashes within the limit agree on one of them at least.

    The hash is cut into pieces; of `num_pieces` one holds no more than its share of the differing
    bits. That piece is cut into blocks, and all blocks but that share agree.
    """
    best_cost, best = num_hashes**2 / 2 * COMPARING, (1, 0)  # one empty part: all pairs
    for num_pieces in range(1, min(max_distance + 1, num_bits) + 1):
        share, width = max_distance // num_pieces, num_bits // num_pieces
        for num_kept in range(1, min(MAX_KEPT_BLOCKS, width - share) + 1):
            bits = width * num_kept // (share + num_kept)
            pairs = num_hashes**2 / 2 / 2**bits
            num_parts = num_pieces * math.comb(share + num_kept, num_kept)
            num_digits = -(-bits // DIGIT_BITS)
            cost = num_parts * (num_digits * num_hashes * SORTING + pairs * COMPARING)
            if bits <= MAX_PART_BITS and cost < best_cost:
                best_cost, best = cost, (num_pieces, num_kept)
    return list(_parts(num_bits, max_distance, *best))


def _parts(num_bits: int, max_distance: int, num_pieces: int, num_kept: int) -> Iterator[Part]:
    share = max_distance // num_pieces
    for begin, end in _cut(0, num_bits, num_pieces):
        blocks = _cut(begin, end, share + num_kept) if num_kept else []
        for kept in combinations(blocks, num_kept):
            yield Part(kept)


def _cut(begin: int, end: int, num_parts: int) -> list[tuple[int, int]]:
    """The range in parts of about equal lengths."""
    edges = [begin + (end - begin) * number // num_parts for number in range(num_parts + 1)]
    return list(pairwise(edges))


def _pairs_that_agree(hashes: Hashes, part: Part, max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Near pairs, those that are equal in a part among them."""
    order, values = _sorted_by(hashes, part)
    words = np.ascontiguousarray(hashes[order].T)
    begins = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    lengths = np.diff(begins, append=len(values))
    later = np.repeat(begins + lengths, lengths) - np.arange(len(values)) - 1
    places = np.flatnonzero(later)
    step = 1
    while places.size:  # those that have a member of their group `step` further on
        for near in _near(words, places, step, max_distance):
            yield order[near], order[near + step]
        step += 1
        places = places[later[places] >= step]


def _near(words: Hashes, places: Rows, step: int, max_distance: int) -> Iterator[Rows]:
    """Of some places at least those that are near to what stands `step` further on."""
    first, num_hashes = words[0], words.shape[1]
    if DENSE * len(places) >= num_hashes:  # then it is quicker to compare all, without picking
        for begin in range(0, num_hashes - step, CHUNK):
            end = min(begin + CHUNK, num_hashes - step)
            distance = np.bitwise_count(first[begin:end] ^ first[begin + step : end + step])
            near = begin + np.flatnonzero(distance <= max_distance)
            yield _near_in_all(words, near, step, max_distance)
    else:
        distance = np.bitwise_count(first[places] ^ first[places + step])
        yield _near_in_all(words, places[distance <= max_distance], step, max_distance)


def _near_in_all(words: Hashes, places: Rows, step: int, max_distance: int) -> Rows:
    """Those of the places, near in the first word, that are near in all words together."""
    if len(words) == 1 or not places.size:
        return places
    differing = words[:, places] ^ words[:, places + step]
    near: Rows = places[np.bitwise_count(differing).sum(axis=0) <= max_distance]
    return near


def _sorted_by(hashes: Hashes, part: Part) -> tuple[Rows, NDArray[np.uint64]]:
    """Row numbers in the order of a part's value, and that value in the same order.

    Sorted digit by digit of 16 bits, the lowest first, which numpy does in linear time.
    """
    value = np.zeros(len(hashes), dtype=np.uint64)
    for begin, end in _joined(part.ranges):
        value <<= np.uint64(end - begin)
        value |= _bits(hashes, begin, end)
    order: Rows = np.argsort(value.astype(np.uint16), kind="stable")
    for shift in range(DIGIT_BITS, part.num_bits, DIGIT_BITS):
        digit = (value[order] >> np.uint64(shift)).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
    return order, value[order]


def _joined(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """The same bits in the fewest ranges of at most a word."""
    joined = [*ranges[:1]]
    for begin, end in ranges[1:]:
        if begin == joined[-1][1] and end - joined[-1][0] <= MAX_PART_BITS:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _bits(hashes: Hashes, begin: int, end: int) -> NDArray[np.uint64]:
    """Bits [begin, end) of every hash as a number; at most 64, from one word or two."""
    first, last = begin // WORD_BITS, (end - 1) // WORD_BITS
    value = hashes[:, first] >> np.uint64(begin % WORD_BITS)
    if last > first:
        value = value | (hashes[:, last] << np.uint64(WORD_BITS - begin % WORD_BITS))
    return value & np.uint64((1 << (end - begin)) - 1)
