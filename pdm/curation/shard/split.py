"""Assigns images to the splits `train` and `val`, and to shards.

Both follow from hashes of the images, so a new image does not move others, unless they are near
duplicates of it.
"""

import hashlib
from collections.abc import Iterable

from pdm.data.decisions import Row

TRAIN, VAL = "train", "val"


def assign_splits(rows: Iterable[Row], val_fraction: float) -> dict[str, str]:
    """Split of each kept image, by key. Near duplicates are always in the same split.

    Every image has a number from 0 to 1, a hash of its content. A cluster of near duplicates (the
    column `cluster`) is held out if the largest number of its images is below `val_fraction`.
    Dropped duplicates count too, so that a training image stays one when a better copy replaces it:
    a new duplicate may move a cluster from val to train, never from train to val.

    For small sets, so that no split is too small to be scored: with two or more clusters, the one
    with the smallest number is always held out and the one with the largest never; with four or
    more, the same holds for the two smallest and the two largest.

    Args:
        rows: All decisions; those without a cluster are ignored.
        val_fraction: Approximate fraction of held-out images.
    """
    numbers: dict[str, float] = {}
    kept: dict[str, list[str]] = {}
    for row in rows:
        if name := row["cluster"]:
            numbers[name] = max(numbers.get(name, 0.0), _number(row["sha256"]))
            kept.setdefault(name, []).extend([row["key"]] if row["outcome"] == "kept" else [])
    ranked = sorted((numbers[name], name) for name, keys in kept.items() if keys)
    splits = {name: VAL if number < val_fraction else TRAIN for number, name in ranked}
    num_sure = min(2, len(ranked) // 2)
    for (_, first), (_, last) in zip(ranked[:num_sure], ranked[::-1][:num_sure], strict=True):
        splits[first], splits[last] = VAL, TRAIN
    return {key: split for name, split in splits.items() for key in kept[name]}


def shard_of(key: str, num_shards: int) -> int:
    """Number of the shard that an image belongs to."""
    digest = hashlib.sha256(f"shard:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % num_shards


def _number(sha256: str) -> float:
    digest = hashlib.sha256(f"split:{sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
