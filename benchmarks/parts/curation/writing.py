"""Writing shards, against webdataset's writer, to the disk that holds the temporary folder.

Ours flushes a shard to the disk before it gets its name. The peer does not, so it is measured both
as it is and with a flush added.
"""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import webdataset

from benchmarks.parts.curation.shards import Sample, num_bytes, samples
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.data.shards.tars import read_members, write_tar


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_samples: int
    rounds: int


FULL = Size(num_samples=250, rounds=7)
QUICK = Size(num_samples=5, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    inside = samples(size.num_samples)
    ours, theirs = folder / "ours.tar", folder / "theirs.tar"
    sides = [
        lambda: write_tar(ours, inside),
        lambda: _webdataset(theirs, inside, flush=True),
        lambda: _webdataset(theirs, inside, flush=False),
    ]
    seconds = interleaved(size.rounds, *(partial(timed, side) for side in sides))
    assert read_members(ours) == read_members(theirs)
    equal = "the same bytes" if ours.read_bytes() == theirs.read_bytes() else "the same members"
    rates, flushed, bare = (
        speeds(num_bytes(inside) / 1e9, [one.wall for one in side]) for side in seconds
    )
    processor = [speeds(num_bytes(inside) / 1e9, [one.cpu for one in side]) for side in seconds]
    note = f"{size.num_samples} samples of 0.8 MB; {equal} from both"
    return [
        compare(
            "write_vs_webdataset",
            "writing shards, against webdataset, both flushed to the disk",
            *(rates, flushed, "GB/s", "at least 1", note),
        ),
        compare(
            "write_vs_webdataset_unflushed",
            "writing shards, ours flushed, webdataset's not",
            *(rates, bare, "GB/s"),
        ),
        compare(
            "write_cpu_vs_webdataset",
            "the same, by seconds of the processor",
            *(processor[0], processor[2], "GB/s and core"),
        ),
    ]


def _webdataset(path: Path, inside: list[Sample], *, flush: bool) -> None:
    with webdataset.TarWriter(str(path), mtime=0, encoder=False) as writer:
        for key, parts in inside:
            writer.write({"__key__": key} | parts)
    if flush:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
