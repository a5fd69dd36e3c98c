"""Where every sample of a shard lies: from the headers of its tar, or from `index.safetensors`.

The index stands beside the shards, for all of them together. With it, opening a data set of
millions of pictures reads one file; without it, a small read for each sample, in every process that
opens it. It holds the sha256 of each shard as the manifest does: for others it is not used.

    keys       (N, longest key) uint8, ASCII, filled up with zeros
    places     (N, 4) int64: begin and size of the picture, then of the record
"""

import itertools
import json
import logging
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from pdm.counts import counted
from pdm.data.annotations.captions import TXT
from pdm.data.annotations.maps import EXTENSION as MAP
from pdm.data.shards import tars
from pdm.data.shards.manifest import Manifest, Shard
from pdm.errors import QualityGate
from pdm.files import atomic_file

logger = logging.getLogger(__name__)

FILE_NAME = "index.safetensors"
JSON = "json"  # extension of a sample's record
BESIDE = (f".{JSON}", f".{TXT}", f".{MAP}")  # endings of files that are not pictures
NUM_OPENERS = 16  # shards that are read at once; they wait for the disk, not for a core


class Located(NamedTuple):
    """The samples of a shard."""

    keys: list[str]
    places: NDArray[np.int64]  # (N, 4): begin and size of the picture, then of the record


def locate(folder: Path, shards: Sequence[Shard]) -> list[Located]:
    """Find the samples of each shard: in the index, or by headers where there is no index of these
    shards.

    Raises:
        QualityGate: A shard is damaged, or holds another number of samples than stated.
    """
    return _read_index(folder, shards) or _read_headers(folder, shards)


def write_index(folder: Path, manifest: Manifest) -> None:
    """Write the index of all shards of a manifest, from their headers."""
    shards = [shard for split in manifest.splits.values() for shard in split]
    found = _read_headers(folder, shards)
    keys = np.array([key for one in found for key in one.keys], dtype=np.bytes_)
    arrays = {
        "keys": keys.view(np.uint8).reshape(len(keys), -1),
        "places": np.concatenate([one.places for one in found]),
    }
    named = json.dumps([[shard.sha256, shard.num_samples] for shard in shards])
    with atomic_file(folder / FILE_NAME) as temporary:
        save_file(arrays, temporary, metadata={"shards": named})


def damaged(path: Path, fault: str) -> QualityGate:
    """The error that names a damaged shard, and what to do."""
    return QualityGate(f"{path} {fault}; write {path.parent} again (stage 'shard')")


def _read_index(folder: Path, shards: Sequence[Shard]) -> list[Located] | None:
    """The samples of these shards from the index; None if it does not have exactly them."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            starts, start = {}, 0
            for sha256, count in json.loads(file.metadata()["shards"]):
                starts[sha256, count] = start
                start += count
            found = []
            for shard in shards:
                begin = starts[shard.sha256, shard.num_samples]
                rows = slice(begin, begin + shard.num_samples)
                keys = np.ascontiguousarray(file.get_slice("keys")[rows])
                named = keys.view(f"S{keys.shape[1]}")[:, 0].astype(str).tolist()
                found.append(Located(named, file.get_slice("places")[rows]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        logger.warning("%s is not the index of these shards (%r); reading headers", path, error)
        return None
    return found


def _read_headers(folder: Path, shards: Sequence[Shard]) -> list[Located]:
    paths = [folder / shard.name for shard in shards]
    with ThreadPoolExecutor(NUM_OPENERS) as pool:
        return list(pool.map(_located, paths, (shard.num_samples for shard in shards)))


def _located(path: Path, num_samples: int) -> Located:
    try:
        found = tars.members(path)
    except tarfile.TarError as error:
        raise damaged(path, f"cannot be read ({error})") from error
    keys, places = [], []
    for key, group in itertools.groupby(found, lambda member: member.name.partition(".")[0]):
        parts = list(group)
        pictures = [one for one in parts if not one.name.endswith(BESIDE)]
        records = [one for one in parts if one.name.endswith(f".{JSON}")]
        if len(pictures) != 1 or len(records) > 1:
            images, listed = counted(len(pictures), "image"), counted(len(records), "record")
            raise damaged(path, f"holds {images} and {listed} of the key {key}")
        keys.append(key)
        record = records[0] if records else tars.Member("", 0, 0)
        places.append((pictures[0].offset, pictures[0].size, record.offset, record.size))
    if len(keys) != num_samples:
        raise damaged(
            path, f"holds {counted(len(keys), 'image')} where the manifest says {num_samples}"
        )
    return Located(keys, np.array(places, dtype=np.int64).reshape(-1, 4))
