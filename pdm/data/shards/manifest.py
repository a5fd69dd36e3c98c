"""`manifest.json` of a folder of shards: the files, their sizes and their digests.

The sha256 of the manifest file identifies a version of the data.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of, write_json

FILE_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of the folder."""

    name: str
    num_samples: int
    num_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path, num_samples: int) -> "Shard":
        """Describe a file that was just written."""
        return cls(path.name, num_samples, path.stat().st_size, sha256_of(path))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The shards of each split, and facts about their samples (such as `width_px`)."""

    splits: Mapping[str, Sequence[Shard]]
    facts: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write the manifest; must be done last, since a folder with a manifest is complete."""
        write_json(folder / FILE_NAME, dataclasses.asdict(self))

    def num_samples(self, split: str) -> int:
        """Number of samples in a split."""
        return sum(shard.num_samples for shard in self.splits[split])


def read(folder: Path) -> Manifest:
    """Read a folder's manifest, without checking its files.

    Raises:
        BadInput: There is no manifest, it cannot be read, or it names a file outside the folder.
    """
    path = folder / FILE_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        splits = {
            split: [Shard(**shard) for shard in shards]
            for split, shards in record["splits"].items()
        }
        facts = dict(record["facts"])
        for shard in (shard for shards in splits.values() for shard in shards):
            _check(shard)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist; run the stage that writes {folder} first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read ({error}); write {folder} again") from error
    return Manifest(splits, facts)


def load(folder: Path) -> Manifest:
    """Read a folder's manifest, and check that every shard exists and has the stated size.

    Raises:
        BadInput: There is no manifest, or it cannot be read.
        QualityGate: A shard is missing or has another size than stated.
    """
    manifest = read(folder)
    for shard in (shard for shards in manifest.splits.values() for shard in shards):
        if fault := size_fault(folder / shard.name, shard.num_bytes):
            raise QualityGate(f"{folder / shard.name} is {fault}; write {folder} again")
    return manifest


def size_fault(file: Path, num_bytes: int) -> str | None:
    """How a file's size differs from what the manifest says, or None."""
    if not file.is_file():
        return f"missing, the manifest says {num_bytes:,} bytes"
    actual = file.stat().st_size
    if actual != num_bytes:
        return f"{actual:,} bytes, the manifest says {num_bytes:,} bytes"
    return None


def _check(shard: Shard) -> None:
    """Check types and names: a manifest may be untrusted, and must not lead out of the folder."""
    for value, kind in zip(dataclasses.astuple(shard), (str, int, int, str), strict=True):
        if type(value) is not kind:
            raise ValueError(f"{value!r} is not of type {kind.__name__}")
    if shard.name != Path(shard.name).name or shard.name in ("", "..") or "\\" in shard.name:
        raise ValueError(f"{shard.name!r} is not the name of a file in the folder")


def digest(folder: Path) -> str:
    """The version of the data in a folder: the sha256 of its manifest file."""
    return sha256_of(folder / FILE_NAME)
