"""Finds pictures that are the same, without comparing all pairs.

The best picture of a group is kept: the largest, then the sharpest, then the smallest key. Pictures
are taken from best to worst and dropped if they match one that is kept already, so the result does
not depend on the order of arrival, and every duplicate is like its keeper itself, not through a
chain of others.

Two pictures match if hashes of their small copies differ in few bits and the small copies
themselves hardly differ. A mirrored copy is the same picture too: training shows pictures mirrored,
so that it would add nothing there, and no picture held out is new to a model that saw its mirror
image.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pdm.curation.curate.duplicates.hashes import WORD_BITS, Rows, near_pairs
from pdm.curation.curate.duplicates.small import Smalls, differences, hashes_of, stacked
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
    """What was found.

    Args:
        dropped: Key -> key of the picture that is kept instead, and why.
        clusters: Key of every candidate -> a name that it shares with all it is like, directly or
            through others: the smallest of their keys.
        nearest: Key -> key of the most alike of the better pictures that are kept and whose hashes
            are near, and the difference between the two; none if no hash is near.
    """

    dropped: dict[str, tuple[str, Drop]] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    nearest: dict[str, tuple[str, float]] = field(default_factory=dict)


def find_duplicates(
    candidates: Sequence[Candidate], max_bits: int, max_difference: float
) -> Duplicates:
    """Which pictures to drop, and which belong together.

    Args:
        candidates: In any order.
        max_bits: Pictures whose hashes differ in at most so many of 64 bits are compared.
        max_difference: Pictures whose small copies differ by at most so much are the same.
    """
    files: dict[str, list[Candidate]] = defaultdict(list)
    for one in sorted(candidates, key=lambda one: (-one.num_pixels, -one.sharpness, one.key)):
        files[one.sha256].append(one)
    matches = _Matches(stacked([equal[0].small for equal in files.values()]), max_bits)
    nearest, roots = matches.settle(max_difference)
    return _by_key(list(files.values()), nearest, roots, max_difference)


def _by_key(
    files: list[list[Candidate]],
    nearest: dict[int, tuple[int, float]],
    roots: list[int],
    max_difference: float,
) -> Duplicates:
    """By key what `settle` found by number of the file."""
    found = Duplicates()
    names: dict[int, str] = {}
    for number, equal in enumerate(files):
        smallest = min(one.key for one in equal)
        names[roots[number]] = min(names.get(roots[number], smallest), smallest)
    for number, equal in enumerate(files):
        found.clusters.update({one.key: names[roots[number]] for one in equal})
        keeper, difference = nearest.get(number, (number, math.inf))
        like = difference <= max_difference
        if keeper != number:
            near = files[keeper][0].key, round(difference, 5)
            found.nearest.update({one.key: near for one in (equal if like else equal[:1])})
        if like:
            drop = Drop(
                "near_duplicate",
                f"Differs by {difference:.3f} from a picture that is kept; up to "
                f"{max_difference:g} counts as the same picture.",
            )
            found.dropped.update({one.key: (files[keeper][0].key, drop) for one in equal})
        else:
            drop = Drop("exact_duplicate", "The same file, byte for byte.")
            found.dropped.update({one.key: (equal[0].key, drop) for one in equal[1:]})
    return found


class _Matches:
    """Which of some files, the best first, have hashes that are near.

    Every file has two entries: number i stands for it, i + number of files for its mirror image.
    Entries of equal hashes are a group.
    """

    def __init__(self, smalls: Smalls, max_bits: int) -> None:
        self._smalls = smalls
        entries = np.concatenate(hashes_of(smalls))
        hashes, self._group_of = np.unique(entries, return_inverse=True)
        self._near: dict[int, list[int]] = defaultdict(list)
        for one, other in near_pairs(hashes[:, None], min(max_bits, WORD_BITS)).tolist():
            self._near[one].append(other)
            self._near[other].append(one)
        self._shared = np.bincount(self._group_of, minlength=len(hashes)) > 1

    def settle(self, max_difference: float) -> tuple[dict[int, tuple[int, float]], list[int]]:
        """For each file the nearest better one that is kept, and their difference: up to the limit
        it is dropped. A root of each cluster."""
        num_files = len(self._smalls)
        roots = list(range(num_files))
        nearest: dict[int, tuple[int, float]] = {}
        dropped: set[int] = set()
        seen: dict[int, list[int]] = defaultdict(list)  # group -> its entries so far
        for number in self._with_neighbours():
            entries = self._entries_near(number, seen)
            apart = differences(self._smalls[number], self._pictures(entries))
            for place in np.argsort(apart, kind="stable").tolist():
                other, difference = int(entries[place]) % num_files, float(apart[place])
                if difference <= max_difference:
                    _unite(roots, number, other)
                elif number in nearest:
                    break
                if number not in nearest and other not in dropped:
                    nearest[number] = other, difference
            if number in nearest and nearest[number][1] <= max_difference:
                dropped.add(number)
            for entry in (number, number + num_files):
                seen[int(self._group_of[entry])].append(entry)
        return nearest, [_root(roots, number) for number in range(num_files)]

    def _with_neighbours(self) -> list[int]:
        """The files that may match another one, the best first."""
        busy = self._shared.copy()
        busy[list(self._near)] = True
        return np.flatnonzero(busy[self._group_of].reshape(2, -1).any(axis=0)).tolist()

    def _entries_near(self, number: int, seen: dict[int, list[int]]) -> Rows:
        group = int(self._group_of[number])
        groups = (group, *self._near.get(group, ()))
        return np.array([entry for one in groups for entry in seen.get(one, ())], dtype=np.int64)

    def _pictures(self, entries: Rows) -> NDArray[np.uint8]:
        """The small copies of entries, mirrored where the entry is."""
        mirrored = entries >= len(self._smalls)
        pictures = self._smalls[entries % len(self._smalls)]
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        return pictures


def _unite(roots: list[int], one: int, other: int) -> None:
    one, other = _root(roots, one), _root(roots, other)
    roots[max(one, other)] = min(one, other)


def _root(roots: list[int], number: int) -> int:
    while roots[number] != number:
        roots[number] = roots[roots[number]]
        number = roots[number]
    return number
