"""Which images train and which are held out, and into which shard each goes.

Both follow from hashes of the images alone, so a new image moves no other one that is unlike it.
"""

import hashlib
from collections.abc import Iterable

from pdm.data.decisions import Row

TRAIN, VAL = "train", "val"


def assign_splits(rows: Iterable[Row], val_fraction: float) -> dict[str, str]:
    """Split of each kept image, by key; near duplicates of each other are never in both.

    Every image has a number from 0 to 1, a hash of its content. Images that are alike (the column
    `cluster`) share one fate: they are held out if the largest of their numbers lies below
    `val_fraction`. Duplicates that were dropped count, so that whatever is trained on stays so when
    a better copy takes its place: an image may leave the held-out ones when a duplicate arrives,
    and never the other way.

    Small sets need one rule more, or a split could be too small to be scored: with two clusters or
    more the one with the smallest number is always held out and the one with the largest never;
    with four or more the same holds for the two at either end.

    Args:
        rows: All decisions; those without a cluster are left out.
        val_fraction: Of the images, about.
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
