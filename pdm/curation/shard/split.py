"""Which images train and which are held out, and into which shard each goes.

Both follow from hashes of the image alone, so a new image moves no other one.
"""

import hashlib
from collections.abc import Iterable

from pdm.data.decisions import Row

TRAIN, VAL = "train", "val"


def assign_splits(rows: Iterable[Row], val_fraction: float) -> dict[str, str]:
    """Split of each image, by key.

    An image is held out if the hash of its content, read as a number from 0 to 1, lies below
    `val_fraction`. Small sets need one rule more, or a split could be too small to be scored: with
    two images or more the one with the smallest number is always held out and the one with the
    largest never; with four or more the same holds for the two at either end.
    """
    ranked = sorted((_number(row["sha256"]), row["key"]) for row in rows)
    splits = {key: VAL if number < val_fraction else TRAIN for number, key in ranked}
    num_sure = min(2, len(ranked) // 2)
    for (_, first), (_, last) in zip(ranked[:num_sure], ranked[::-1][:num_sure], strict=True):
        splits[first], splits[last] = VAL, TRAIN
    return splits


def shard_of(key: str, num_shards: int) -> int:
    """Number of the shard that an image belongs to."""
    digest = hashlib.sha256(f"shard:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % num_shards


def _number(sha256: str) -> float:
    digest = hashlib.sha256(f"split:{sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
