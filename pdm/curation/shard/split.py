"""Assigns images to the splits `train` and `val`, and to shards.

Both follow from hashes of the images, or of the names of their folders, so a new image does not
move others, unless they are near duplicates of it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from pdm.data.decisions import Row

TRAIN, VAL = "train", "val"


def assign_splits(
    rows: Iterable[Row], val_share: float, hold_out: Literal["image", "folder"] = "image"
) -> dict[str, str]:
    """Split of each kept image, by key. Near duplicates are always in the same split.

    Every image has a number from 0 to 1, a hash of its content. A cluster of near duplicates (the
    column `cluster`) is held out if the largest number of its images is below `val_share`.
    Dropped duplicates count too, so that a training image stays one when a better copy replaces it:
    a new duplicate may move a cluster from val to train, never from train to val.

    With `folder`, the number of an image is a hash of its source and its folder instead, and all
    images of a folder are in the same split, along with the folders that have near duplicates of
    them.

    For small sets, so that no split is too small to be scored: with two or more clusters, the one
    with the smallest number is always held out and the one with the largest never; with four or
    more, the same holds for the two smallest and the two largest.

    Args:
        rows: All decisions; those without a cluster are ignored.
        val_share: Approximate share of held-out images.
        hold_out: What is held out as a whole. The folder of an image is its URL or path up to the
            last slash.
    """
    clustered = list(_by_cluster(rows))
    names = _joined_by_folder(clustered) if hold_out == "folder" else {}
    numbers: dict[str, float] = {}
    kept: dict[str, list[str]] = {}
    for cluster, row in clustered:
        name = names.get(cluster, cluster)
        number = _number(_folder(row) if hold_out == "folder" else row["sha256"])
        numbers[name] = max(numbers.get(name, 0.0), number)
        kept.setdefault(name, []).extend([row["key"]] if row["outcome"] == "kept" else [])
    ranked = sorted((numbers[name], name) for name, keys in kept.items() if keys)
    splits = {name: VAL if number < val_share else TRAIN for number, name in ranked}
    num_sure = min(2, len(ranked) // 2)
    for (_, first), (_, last) in zip(ranked[:num_sure], ranked[::-1][:num_sure], strict=True):
        splits[first], splits[last] = VAL, TRAIN
    return {key: split for name, split in splits.items() for key in kept[name]}


def shard_of(key: str, num_shards: int) -> int:
    """Number of the shard that an image belongs to."""
    digest = hashlib.sha256(f"shard:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % num_shards


def _by_cluster(rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    for row in rows:
        if cluster := row["cluster"]:
            yield cluster, row


def _joined_by_folder(clustered: Iterable[tuple[str, Row]]) -> dict[str, str]:
    """One name for all clusters that share a folder, directly or through others, by cluster."""
    parents: dict[str, str] = {}

    def root(cluster: str) -> str:
        while parents.setdefault(cluster, cluster) != cluster:
            parents[cluster] = parents[parents[cluster]]
            cluster = parents[cluster]
        return cluster

    first_of: dict[str, str] = {}  # folder -> one of its clusters
    for cluster, row in clustered:
        one, other = root(cluster), root(first_of.setdefault(_folder(row), cluster))
        parents[max(one, other)] = min(one, other)
    return {cluster: root(cluster) for cluster in parents}


def _folder(row: Row) -> str:
    return f"{row['source']}:{row['url'].rpartition('/')[0]}"


def _number(text: str) -> float:
    digest = hashlib.sha256(f"split:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
