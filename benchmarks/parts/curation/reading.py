"""Reading shards in order, against plain webdataset and against the bare bytes of the files.

Neither side decodes. The files are in the page cache, so that the reader is measured, not the disk.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import webdataset

from benchmarks.parts.curation.shards import num_bytes, read_into_cache, samples
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.data.shards.manifest import Shard
from pdm.data.shards.samples import Samples
from pdm.data.shards.tars import write_tar

RAW_READ_BYTES = 2**20
Sample = tuple[str, bytes, bytes]  # key, picture, record


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_shards: int
    samples_per_shard: int
    rounds: int


FULL = Size(num_shards=4, samples_per_shard=125, rounds=7)
QUICK = Size(num_shards=2, samples_per_shard=5, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    shards, total = [], 0
    for number in range(size.num_shards):
        path = folder / f"train-{number:06}.tar"
        inside = samples(size.samples_per_shard, number * size.samples_per_shard)
        write_tar(path, inside)
        shards.append(Shard.of(path, len(inside)))
        total += num_bytes(inside)
    paths = [folder / shard.name for shard in shards]
    read_into_cache(paths)
    assert _digest(_ours(folder, shards)) == _digest(_webdataset(paths))

    sides = [
        lambda: _consumed(_ours(folder, shards)),
        lambda: _consumed(_webdataset(paths)),
        lambda: _raw(paths),
    ]
    seconds = interleaved(size.rounds, *(partial(timed, side) for side in sides))
    ours, peer, raw = (speeds(total / 1e9, [one.wall for one in side]) for side in seconds)
    count = size.num_shards * size.samples_per_shard
    rates = [count / min(one.wall for one in side) for side in seconds]
    return [
        compare(
            "read_vs_webdataset",
            "reading shards, against webdataset",
            ours,
            peer,
            "GB/s",
            "at least 2",
            f"{count} samples of 0.8 MB in the page cache, opening and indexing included, every "
            f"byte of every sample equal; at best {rates[0]:,.0f} and {rates[1]:,.0f} samples/s",
        ),
        compare(
            "read_vs_raw",
            "reading shards, against the bare files in sequence",
            ours,
            raw,
            "GB/s",
            note=f"Bare files in reads of {RAW_READ_BYTES // 2**20} MiB into one buffer",
        ),
    ]


def _ours(folder: Path, shards: list[Shard]) -> Iterator[Sample]:
    yield from Samples(folder, shards).stream()


def _webdataset(paths: list[Path]) -> Iterator[Sample]:
    files = [str(path) for path in paths]
    for sample in webdataset.WebDataset(files, shardshuffle=False, empty_check=False):
        yield sample["__key__"], sample["jpg"], sample["json"]


def _consumed(found: Iterable[Sample]) -> int:
    return sum(len(picture) + len(record) for _, picture, record in found)


def _digest(found: Iterable[Sample]) -> str:
    digest = sha256()
    for key, picture, record in found:
        digest.update(key.encode() + picture + record)
    return digest.hexdigest()


def _raw(paths: list[Path]) -> None:
    buffer = bytearray(RAW_READ_BYTES)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
