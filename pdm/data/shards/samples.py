"""Reads the samples of a split: by number, or all in order at the speed of the disk.

A sample is a picture, `key.jpg|png|webp`, and its record, `key.json`, next to each other in a tar,
with the captions in `key.txt` if the data have any.
Opening reads the index beside the shards, or all headers where there is none
(`pdm.data.shards.locations`), and keeps 40 bytes and the key of each sample in memory. When a
picture is read, its bytes are checked against the record's `image_sha256`.
"""

import hashlib
import itertools
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdm.data.annotations.maps import EXTENSION
from pdm.data.shards import tars
from pdm.data.shards.locations import JSON, damaged, locate
from pdm.data.shards.manifest import Shard


class Samples:
    """The samples of some shards, in the order of the shards and of each tar.

    Args:
        folder: Of the shards.
        shards: Those of one split, from the manifest.
        check_every: One in this many pictures is checked when it is read; 1 checks all. A check
            takes about 0.6 ms per megabyte, a thirtieth of decoding.

    Raises:
        QualityGate: A shard is damaged or has another number of samples than stated, or two samples
            have the same key.
    """

    def __init__(self, folder: Path, shards: Sequence[Shard], check_every: int = 1) -> None:
        self.paths = [folder / shard.name for shard in shards]
        self._check_every, self._reads = check_every, itertools.count()
        indices = locate(folder, shards)
        self.keys = [key for keys, _ in indices for key in keys]
        self._shards = np.repeat(np.arange(len(indices)), [len(keys) for keys, _ in indices])
        self._places = np.concatenate([places for _, places in indices])
        self._require_unique_keys()

    def __len__(self) -> int:
        return len(self.keys)

    def path(self, index: int) -> Path:
        """The shard that holds sample number `index`."""
        return self.paths[int(self._shards[index])]

    def picture(self, index: int) -> bytes:
        """The encoded picture of sample number `index`.

        Raises:
            QualityGate: It is checked, and its bytes are not those that were written.
        """
        begin, size, _, _ = self._places[index].tolist()
        content = tars.read_at(self.path(index), begin, size)
        if next(self._reads) % self._check_every == 0:
            self._check(index, content)
        return content

    def class_map(self, index: int) -> bytes:
        """The encoded map of sample number `index`, which follows its record in the tar.

        Raises:
            QualityGate: It has none.
        """
        _, _, begin, size = self._places[index].tolist()
        path, name = self.path(index), f"{self.keys[index]}.{EXTENSION}"
        try:
            member = tars.member_after(path, begin, size)
        except tarfile.TarError as error:
            raise damaged(path, f"cannot be read ({error})") from error
        if member is None or member.name != name:
            raise damaged(path, f"has no {name} after the record")
        return tars.read_at(path, member.offset, member.size)

    def record(self, index: int) -> dict[str, Any]:
        """The record of sample number `index`: url, licence, crop box, ...

        Raises:
            QualityGate: It has no record, or the record is not a JSON object.
        """
        _, _, begin, size = self._places[index].tolist()
        content = tars.read_at(self.path(index), begin, size)
        try:
            record = json.loads(content)
            if not isinstance(record, dict):
                raise ValueError("it is not an object")
        except (ValueError, RecursionError) as error:
            name = f"{self.keys[index]}.{JSON}"
            raise damaged(self.path(index), f"{name} is missing or not JSON ({error})") from error
        return record

    def stream(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Yield key, picture and record of every sample in order, opening each shard once.

        Pictures are not checked.
        """
        numbered = zip(self._shards.tolist(), self.keys, self._places.tolist(), strict=True)
        for number, samples in itertools.groupby(numbered, lambda sample: sample[0]):
            handle = os.open(self.paths[number], os.O_RDONLY)
            try:
                for _, key, (begin, size, record, length) in samples:
                    yield key, os.pread(handle, size, begin), os.pread(handle, length, record)
            finally:
                os.close(handle)

    def _check(self, index: int, content: bytes) -> None:
        if not self._places[index, 3]:
            return  # no record
        stated = self.record(index).get("image_sha256")
        if stated is not None and hashlib.sha256(content).hexdigest() != stated:
            fault = f"the image of {self.keys[index]} is not the one that was written"
            raise damaged(self.path(index), f"{fault}: its sha256 differs")

    def _require_unique_keys(self) -> None:
        if len(set(self.keys)) == len(self.keys):
            return
        index_of: dict[str, int] = {}
        for index, key in enumerate(self.keys):
            if key in index_of:
                other = self.path(index_of[key]).name
                raise damaged(self.path(index), f"holds the key {key}, and so does {other}")
            index_of[key] = index
