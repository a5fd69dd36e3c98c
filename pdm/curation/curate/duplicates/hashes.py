"""Finds all pairs of hashes that differ in few bits, without comparing all pairs.

Cut into more than d blocks, two hashes that differ in at most d bits agree on all blocks but d. So
the hashes are sorted by every choice of blocks on which two may agree (a part), and compared only
where it is equal (multi-index hashing: Norouzi et al., arXiv:1307.2982; the choice of blocks: Manku
et al., WWW 2007). No pair within the limit is missed. The number and length of the parts is chosen
by the costs of sorting and comparing.

Memory: under 100 bytes for each hash of 64 bits, and 24 for each pair.
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
DENSE = 8  # comparing selected pairs costs about this many times as much as comparing neighbours
CHUNK = 2**17  # pairs that are compared at once; they fit into a processor's cache


@dataclass(frozen=True, slots=True)
class Part:
    """Bits of a hash on which two near ones may agree: ranges [begin, end) in order."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def num_bits(self) -> int:
        """Number of bits."""
        return sum(end - begin for begin, end in self.ranges)


def near_pairs(hashes: Hashes, max_distance: int) -> Pairs:
    """Every pair of rows that differ in at most `max_distance` bits.

    Args:
        hashes: (N, words), N below 2**31. Equal rows are pairs too; group them first if there are
            many, since the number of pairs grows with the square of theirs.
        max_distance: 0 or more.
    """
    num_hashes = len(hashes)
    pairs = np.empty(0, dtype=np.int64)  # first row * num_hashes + second row
    for part in parts_to_search(num_hashes, hashes.shape[1] * WORD_BITS, max_distance):
        codes = [
            np.minimum(first, second) * num_hashes + np.maximum(first, second)
            for first, second in _pairs_that_agree(hashes, part, max_distance)
        ]
        if codes:
            pairs = np.unique(np.concatenate([pairs, *codes]))
    return np.stack([pairs // max(num_hashes, 1), pairs % max(num_hashes, 1)], axis=1)


def parts_to_search(num_hashes: int, num_bits: int, max_distance: int) -> list[Part]:
    """The parts to sort by. Any two hashes within the limit agree on at least one of them.

    The hash is cut into `num_pieces` pieces; at least one of them has no more than its share of
    the differing bits. That piece is cut into blocks; all of them but that share agree.
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
    for begin, end in _split_range(0, num_bits, num_pieces):
        blocks = _split_range(begin, end, share + num_kept) if num_kept else []
        for ranges in combinations(blocks, num_kept):
            yield Part(ranges)


def _split_range(begin: int, end: int, num_parts: int) -> list[tuple[int, int]]:
    """Split a range into parts of about equal lengths."""
    edges = [begin + (end - begin) * number // num_parts for number in range(num_parts + 1)]
    return list(pairwise(edges))


def _pairs_that_agree(hashes: Hashes, part: Part, max_distance: int) -> Iterator[tuple[Rows, Rows]]:
    """Near pairs, including all that are equal in a part."""
    order, values = _sort_by(hashes, part)
    words = np.ascontiguousarray(hashes[order].T)
    begins = np.flatnonzero(np.diff(values, prepend=~values[:1]))
    lengths = np.diff(begins, append=len(values))
    later = np.repeat(begins + lengths, lengths) - np.arange(len(values)) - 1
    places = np.flatnonzero(later)
    step = 1
    while places.size:  # those with a member of their group `step` places later
        for near in _near(words, places, step, max_distance):
            yield order[near], order[near + step]
        step += 1
        places = places[later[places] >= step]


def _near(words: Hashes, places: Rows, step: int, max_distance: int) -> Iterator[Rows]:
    """Places whose hash is near the one `step` places later: all of `places` and maybe others."""
    first, num_hashes = words[0], words.shape[1]
    if DENSE * len(places) >= num_hashes:  # faster to compare all
        for begin in range(0, num_hashes - step, CHUNK):
            end = min(begin + CHUNK, num_hashes - step)
            distance = np.bitwise_count(first[begin:end] ^ first[begin + step : end + step])
            near = begin + np.flatnonzero(distance <= max_distance)
            yield _near_in_all(words, near, step, max_distance)
    else:
        distance = np.bitwise_count(first[places] ^ first[places + step])
        yield _near_in_all(words, places[distance <= max_distance], step, max_distance)


def _near_in_all(words: Hashes, places: Rows, step: int, max_distance: int) -> Rows:
    """Of places that are near in the first word, those that are near in all words together."""
    if len(words) == 1 or not places.size:
        return places
    differing = words[:, places] ^ words[:, places + step]
    near: Rows = places[np.bitwise_count(differing).sum(axis=0) <= max_distance]
    return near


def _sort_by(hashes: Hashes, part: Part) -> tuple[Rows, NDArray[np.uint64]]:
    """Row numbers in the order of a part's value, and that value in the same order.

    A radix sort with digits of 16 bits, which numpy sorts in linear time.
    """
    value = np.zeros(len(hashes), dtype=np.uint64)
    for begin, end in _join_ranges(part.ranges):
        value <<= np.uint64(end - begin)
        value |= _bits(hashes, begin, end)
    order: Rows = np.argsort(value.astype(np.uint16), kind="stable")
    for shift in range(DIGIT_BITS, part.num_bits, DIGIT_BITS):
        digit = (value[order] >> np.uint64(shift)).astype(np.uint16)
        order = order[np.argsort(digit, kind="stable")]
    return order, value[order]


def _join_ranges(ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Join adjacent ranges, to at most `MAX_PART_BITS` bits each."""
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
