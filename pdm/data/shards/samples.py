"""Where every sample of a split lies, and its bytes: by number, or all in order at disk speed.

A sample is a picture, `key.jpg|png|webp`, and its record, `key.json`, side by side in a tar.
Opening reads headers only, one small read for each sample; 40 bytes and the key stay in memory for
each. A picture's bytes are held against the `image_sha256` of its record when they are read.
"""

import hashlib
import itertools
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdm.data.shards import tars
from pdm.data.shards.manifest import Shard
from pdm.errors import QualityGate

JSON = "json"  # extension of a sample's record; whatever else it holds is the picture
NUM_OPENERS = 16  # shards that are indexed at once; they wait for the disk, not for a core


class Samples:
    """The samples of some shards, in the order of the shards and of each tar.

    Args:
        folder: Of the shards.
        shards: Those of one split, from the manifest.
        check_every: One in so many pictures that are read is hashed first; 1 checks all. It costs
            about 0.6 ms a megabyte, a thirtieth of decoding it.

    Raises:
        QualityGate: A shard is damaged, holds another number of samples than stated, or a key that
            stands elsewhere too.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard], check_every: int = 1) -> None:
        self.paths = [folder / shard.name for shard in shards]
        self._check_every, self._reads = check_every, itertools.count()
        with ThreadPoolExecutor(NUM_OPENERS) as pool:
            found = list(pool.map(_samples_of, self.paths, (one.num_samples for one in shards)))
        self.keys = [key for keys, _ in found for key in keys]
        self._shards = np.repeat(np.arange(len(found)), [len(keys) for keys, _ in found])
        self._places = np.concatenate([places for _, places in found])
        self._refuse_twins()

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, index: int) -> Path:
        """The shard that holds sample number `index`."""
        return self.paths[int(self._shards[index])]

    def picture(self, index: int) -> bytes:
        """The encoded picture of sample number `index`.

        Raises:
            QualityGate: Its bytes are not those that were written; found in the share of reads
                that `check_every` asks for.
        """
        begin, size, _, _ = self._places[index].tolist()
        content = tars.read_at(self.path(index), begin, size)
        if next(self._reads) % self._check_every == 0:
            self._check(index, content)
        return content

    def record(self, index: int) -> dict[str, Any]:
        """What is known about sample number `index`: url, licence, crop box, ...

        Raises:
            QualityGate: It has no record, or one that is no JSON object.
        """
        _, _, begin, size = self._places[index].tolist()
        content = tars.read_at(self.path(index), begin, size)
        try:
            record = json.loads(content)
            if not isinstance(record, dict):
                raise ValueError("it is no object")
        except (ValueError, RecursionError) as error:
            name = f"{self.keys[index]}.{JSON}"
            raise damaged(self.path(index), f"{name} is absent or no JSON ({error})") from error
        return record

    def stream(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Key, picture and record of every sample in order, each shard opened once, unchecked."""
        numbered = zip(self._shards.tolist(), self.keys, self._places.tolist(), strict=True)
        for number, samples in itertools.groupby(numbered, lambda one: one[0]):
            handle = os.open(self.paths[number], os.O_RDONLY)
            try:
                for _, key, (begin, size, record, length) in samples:
                    yield key, os.pread(handle, size, begin), os.pread(handle, length, record)
            finally:
                os.close(handle)

    def _check(self, index: int, content: bytes) -> None:
        if not self._places[index, 3]:
            return  # no record: nothing was promised
        stated = self.record(index).get("image_sha256")
        if stated is not None and hashlib.sha256(content).hexdigest() != stated:
            fault = f"the picture of {self.keys[index]} is not the one that was written"
            raise damaged(self.path(index), f"{fault}: its sha256 differs")

    def _refuse_twins(self) -> None:
        if len(set(self.keys)) == len(self.keys):
            return
        seen: dict[str, int] = {}
        for index, key in enumerate(self.keys):
            if key in seen:
                there = self.path(seen[key]).name
                raise damaged(self.path(index), f"holds the key {key}, and so does {there}")
            seen[key] = index


def damaged(path: Path, fault: str) -> QualityGate:
    """The error that names a damaged shard, and what to do."""
    return QualityGate(f"{path} {fault}; write {path.parent} again (stage 'shard')")


def _samples_of(path: Path, num_samples: int) -> tuple[list[str], NDArray[np.int64]]:
    """Keys, and four places for each: begin and size of the picture, then of the record."""
    try:
        found = tars.members(path)
    except tarfile.TarError as error:
        raise damaged(path, f"cannot be read ({error})") from error
    keys, places = [], []
    for key, group in itertools.groupby(found, lambda member: member.name.partition(".")[0]):
        parts = list(group)
        pictures = [one for one in parts if not one.name.endswith(f".{JSON}")]
        records = [one for one in parts if one.name.endswith(f".{JSON}")]
        if len(pictures) != 1 or len(records) > 1:
            fault = f"holds {len(pictures)} pictures and {len(records)} records of the key {key}"
            raise damaged(path, fault)
        keys.append(key)
        record = records[0] if records else tars.Member("", 0, 0)
        places.append((pictures[0].offset, pictures[0].size, record.offset, record.size))
    if len(keys) != num_samples:
        raise damaged(path, f"holds {len(keys)} images where the manifest says {num_samples}")
    return keys, np.array(places, dtype=np.int64).reshape(-1, 4)
