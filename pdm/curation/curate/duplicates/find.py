"""Finds duplicates without comparing all pairs of pictures.

The best picture of a group is kept: the largest, then the sharpest, then that with the smallest
key. Pictures are processed from best to worst, and dropped if they match one that is kept. So the
result does not depend on their order, and every duplicate matches the kept picture directly, not
through a chain of others.

Two pictures match if the hashes of their small copies differ in few bits and the small copies
themselves hardly differ. A mirrored copy is a duplicate too: training flips pictures, so it would
add nothing there, and a held-out picture is not new to a model that saw its mirror image.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pdm.curation.curate.duplicates.hashes import WORD_BITS, Rows, near_pairs
from pdm.curation.curate.duplicates.small import Smalls, differences, hashes_of, stack
from pdm.curation.curate.rules import Drop


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that has passed every other rule."""

    key: str
    sha256: str  # of the file
    small: bytes  # see `pdm.curation.curate.duplicates.small`
    num_pixels: int  # without borders
    sharpness: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The duplicates among some candidates.

    Args:
        dropped: Key -> key of the picture that is kept instead, and why.
        clusters: Key of every candidate -> the name of its cluster, the smallest key in it.
            Pictures that match, directly or through others, are in one cluster.
        nearest: Key -> key of the most similar of the kept, better pictures with a near hash, and
            the difference between the two; no entry if no hash is near.
    """

    dropped: dict[str, tuple[str, Drop]] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    nearest: dict[str, tuple[str, float]] = field(default_factory=dict)


def find_duplicates(
    candidates: Sequence[Candidate], max_bits: int, max_difference: float
) -> Duplicates:
    """Decide which pictures to drop, and which belong together.

    Args:
        candidates: In any order.
        max_bits: Pictures are compared if their hashes differ in at most this many of 64 bits.
        max_difference: Pictures match if their small copies differ by at most this much.
    """
    files: dict[str, list[Candidate]] = defaultdict(list)
    for picture in sorted(candidates, key=lambda p: (-p.num_pixels, -p.sharpness, p.key)):
        files[picture.sha256].append(picture)
    matches = _Matches(stack([equal[0].small for equal in files.values()]), max_bits)
    nearest, roots = matches.resolve(max_difference)
    return _index_by_key(list(files.values()), nearest, roots, max_difference)


def _index_by_key(
    files: list[list[Candidate]],
    nearest: dict[int, tuple[int, float]],
    roots: list[int],
    max_difference: float,
) -> Duplicates:
    """The result of `_Matches.resolve`, which numbers files, by key."""
    duplicates = Duplicates()
    names: dict[int, str] = {}
    for number, equal in enumerate(files):
        smallest = min(picture.key for picture in equal)
        names[roots[number]] = min(names.get(roots[number], smallest), smallest)
    for number, equal in enumerate(files):
        duplicates.clusters.update({picture.key: names[roots[number]] for picture in equal})
        keeper, difference = nearest.get(number, (number, math.inf))
        is_duplicate = difference <= max_difference
        if keeper != number:
            near = files[keeper][0].key, round(difference, 5)
            compared = equal if is_duplicate else equal[:1]
            duplicates.nearest.update({picture.key: near for picture in compared})
        if is_duplicate:
            drop = Drop(
                "near_duplicate",
                f"Differs by {difference:.3f} from an image that is kept; up to "
                f"{max_difference:g} counts as the same image.",
            )
            duplicates.dropped.update({p.key: (files[keeper][0].key, drop) for p in equal})
        else:
            drop = Drop("exact_duplicate", "The same file, byte for byte.")
            duplicates.dropped.update({p.key: (equal[0].key, drop) for p in equal[1:]})
    return duplicates


class _Matches:
    """Which files, numbered from the best, have near hashes.

    Every file has two entries: entry i is file i, and entry i + number of files its mirror image.
    Entries with equal hashes form a group.
    """

    def __init__(self, smalls: Smalls, max_bits: int) -> None:
        self._smalls = smalls
        entries = np.concatenate(hashes_of(smalls))
        hashes, self._group_of = np.unique(entries, return_inverse=True)
        self._near: dict[int, list[int]] = defaultdict(list)
        for first, second in near_pairs(hashes[:, None], min(max_bits, WORD_BITS)).tolist():
            self._near[first].append(second)
            self._near[second].append(first)
        self._shared = np.bincount(self._group_of, minlength=len(hashes)) > 1

    def resolve(self, max_difference: float) -> tuple[dict[int, tuple[int, float]], list[int]]:
        """Drop each file that differs from a better, kept one by at most `max_difference`.

        Returns:
            For each file with near ones, the nearest better file that is kept, and the difference;
            and for each file, the root of its cluster.
        """
        num_files = len(self._smalls)
        roots = list(range(num_files))
        nearest: dict[int, tuple[int, float]] = {}
        dropped: set[int] = set()
        processed: dict[int, list[int]] = defaultdict(list)  # group -> its entries so far
        for number in self._with_neighbours():
            entries = self._entries_near(number, processed)
            distances = differences(self._smalls[number], self._pictures(entries))
            for place in np.argsort(distances, kind="stable").tolist():
                other, difference = int(entries[place]) % num_files, float(distances[place])
                if difference <= max_difference:
                    _unite(roots, number, other)
                elif number in nearest:
                    break
                if number not in nearest and other not in dropped:
                    nearest[number] = other, difference
            if number in nearest and nearest[number][1] <= max_difference:
                dropped.add(number)
            for entry in (number, number + num_files):
                processed[int(self._group_of[entry])].append(entry)
        return nearest, [_root(roots, number) for number in range(num_files)]

    def _with_neighbours(self) -> list[int]:
        """The files that may match another one, the best first."""
        candidates = self._shared.copy()
        candidates[list(self._near)] = True
        return np.flatnonzero(candidates[self._group_of].reshape(2, -1).any(axis=0)).tolist()

    def _entries_near(self, number: int, processed: dict[int, list[int]]) -> Rows:
        group = int(self._group_of[number])
        groups = (group, *self._near.get(group, ()))
        return np.array([entry for g in groups for entry in processed.get(g, ())], dtype=np.int64)

    def _pictures(self, entries: Rows) -> NDArray[np.uint8]:
        """The small copies of entries, mirrored if the entry is a mirror image."""
        mirrored = entries >= len(self._smalls)
        pictures = self._smalls[entries % len(self._smalls)]
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        return pictures


def _unite(roots: list[int], first: int, second: int) -> None:
    first, second = _root(roots, first), _root(roots, second)
    roots[max(first, second)] = min(first, second)


def _root(roots: list[int], number: int) -> int:
    while roots[number] != number:
        roots[number] = roots[roots[number]]
        number = roots[number]
    return number
