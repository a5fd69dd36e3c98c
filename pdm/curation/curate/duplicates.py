"""Finds pictures that are the same, without comparing all pairs.

The best picture of a group is kept: the largest, then the sharpest, then the smallest key. Pictures
are taken from best to worst and dropped if they match one that is kept already, so the result does
not depend on the order of arrival, and every duplicate is like its keeper itself, not through a
chain of others.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pdm.curation.curate.rules import Drop

HASH_BITS = 256


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that has passed every other rule."""

    key: str
    sha256: str  # of the file
    phash: int  # perceptual hash of 256 bits
    num_pixels: int
    sharpness: float


def find_duplicates(
    candidates: list[Candidate], near_duplicate_bits: int
) -> dict[str, tuple[str, Drop]]:
    """Which pictures to drop: key -> (key of the picture kept instead, reason).

    Args:
        candidates: In any order.
        near_duplicate_bits: Pictures whose hashes differ in at most so many bits are the same.
    """
    ranked = sorted(candidates, key=lambda one: (-one.num_pixels, -one.sharpness, one.key))
    index = HashIndex(near_duplicate_bits)
    by_content: dict[str, str] = {}
    dropped: dict[str, tuple[str, Drop]] = {}
    for one in ranked:
        if (kept := by_content.get(one.sha256)) is not None:
            dropped[one.key] = kept, Drop("exact_duplicate", "The same file, byte for byte.")
        elif (match := index.nearest(one.phash)) is not None:
            kept, distance = match
            sentence = (
                f"{distance} of {HASH_BITS} bits of the perceptual hash differ; up to "
                f"{near_duplicate_bits} count as the same picture."
            )
            dropped[one.key] = kept, Drop("near_duplicate", sentence)
        else:
            index.add(one.key, one.phash)
            by_content[one.sha256] = one.key
    return dropped


class HashIndex:
    """Hashes by pieces: a look-up sees only those that share a piece, up to one bit.

    The hash is cut into more than half as many pieces as bits may differ; then one piece at least
    differs in at most one bit (multi-index hashing: Norouzi et al., arXiv:1307.2982). So nothing
    within the limit is missed. With 24 bits the pieces are 20 bits wide, and among a million
    hashes a look-up meets some hundred instead of all.
    """

    def __init__(self, max_distance: int) -> None:
        self._max_distance = max_distance
        self._num_pieces = max_distance // 2 + 1
        self._entries: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)

    def add(self, key: str, phash: int) -> None:
        """Make a hash findable."""
        for place, piece, _ in self._pieces(phash):
            self._entries[place, piece].append((key, phash))

    def nearest(self, phash: int) -> tuple[str, int] | None:
        """Key and distance of the closest hash within the limit; the smaller key of equals."""
        found = {
            ((phash ^ other).bit_count(), key)
            for place, piece, width in self._pieces(phash)
            for probe in (piece, *(piece ^ (1 << bit) for bit in range(width)))
            for key, other in self._entries.get((place, probe), ())
        }
        distance, key = min(found, default=(self._max_distance + 1, ""))
        return (key, distance) if distance <= self._max_distance else None

    def _pieces(self, phash: int) -> Iterator[tuple[int, int, int]]:
        """(place, bits of the piece, width) of each piece; together they cover the hash."""
        for place in range(self._num_pieces):
            begin = place * HASH_BITS // self._num_pieces
            end = (place + 1) * HASH_BITS // self._num_pieces
            yield place, (phash >> begin) & ((1 << (end - begin)) - 1), end - begin
