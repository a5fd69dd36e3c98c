"""Checks shards of pictures: members, keys, records, and pictures of the stated size."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.counts import counted
from pdm.data.annotations.captions import TXT, as_lines, captions_of
from pdm.data.annotations.maps import EXTENSION as MAP
from pdm.data.annotations.maps import decode_map, names_of
from pdm.data.decoding.pixels import Unreadable, decode, read_header
from pdm.data.shards.buckets import facts_of_shard
from pdm.data.shards.manifest import Manifest, Shard
from pdm.data.shards.tar_headers import BadHeader, scan
from pdm.data.shards.tars import Member, read_at
from pdm.data.verification.damage import Findings
from pdm.progress import Progress

STAGE = "shard"
JSON = "json"
MAX_MEMBER_BYTES = 2**30  # an uncompressed picture of 350 megapixels
MAX_RECORD_BYTES = 2**20
NAME = re.compile(r"(?P<key>[a-z0-9_-]+)\.(?P<extension>map\.png|[a-z0-9]+)")


def check_pictures(
    folder: Path, listed: Manifest, intact: Mapping[str, bool], findings: Findings
) -> None:
    """Check the content of every shard that exists.

    Args:
        folder: Of the shards.
        listed: Their manifest.
        intact: Whether a shard's sha256 is the stated one. If not, every picture is decoded, so
            that the damaged ones can be named.
        findings: Faults are added to it.
    """
    shard_of: dict[str, str] = {}
    sources: dict[str, str] = {}
    progress = Progress(f"check {folder}", findings.num_samples)
    for split, shards in listed.splits.items():
        for shard in shards:
            if (folder / shard.name).is_file():
                path, is_intact = folder / shard.name, intact[shard.name]
                facts = facts_of_shard(listed, shard.name)
                check = _ShardCheck(path, split, facts, is_intact, findings)
                check.sources = sources
                check.run(shard, shard_of)
            progress.advance(shard.num_samples)


class _ShardCheck:
    """The check of one shard."""

    def __init__(
        self, path: Path, split: str, facts: Mapping[str, Any], intact: bool, findings: Findings
    ) -> None:
        self.path, self.split, self.facts = path, split, facts
        self.intact, self.findings = intact, findings
        self.sources: dict[str, str] = {}  # sha256 of a source file -> the picture cut from it

    def run(self, shard: Shard, shard_of: dict[str, str]) -> None:
        """Read the tar once. `shard_of` maps the keys of all shards so far to their shard."""
        num_samples, last = 0, ""
        parts: dict[str, Member] = {}
        for entry in scan(self.path, MAX_MEMBER_BYTES):
            if isinstance(entry, BadHeader):
                self._damaged(entry.fault, entry.name)
                continue
            match = NAME.fullmatch(entry.name)
            if match is None:
                self._damaged("is not named `key.extension` in a-z, 0-9, _ and -", entry.name)
                continue
            key, extension = match["key"], match["extension"]
            if key != last:
                num_samples += self._check_sample(last, parts)
                self._check_key(key, last, shard_of)
                last, parts = key, {}
            if extension in parts:
                self._damaged("is twice in the sample", entry.name)
            parts[extension] = entry
        num_samples += self._check_sample(last, parts)
        if num_samples != shard.num_samples:
            self._damaged(
                f"holds {counted(num_samples, 'image')}, the manifest says {shard.num_samples}"
            )

    def _damaged(self, fault: str, member: str | None = None) -> None:
        self.findings.add(self.path, fault, STAGE, member)

    def _check_key(self, key: str, last: str, shard_of: dict[str, str]) -> None:
        if key in shard_of:
            self._damaged(f"its key is already in {shard_of[key]}", key)
        elif key < last:
            self._damaged(f"is out of order, it follows {last}", key)
        shard_of.setdefault(key, self.path.name)

    def _check_sample(self, key: str, parts: Mapping[str, Member]) -> int:
        """Check a sample; return the number of pictures in it."""
        pictures = [part for extension, part in parts.items() if extension not in (JSON, TXT, MAP)]
        if not parts:
            return 0
        if len(pictures) != 1:
            self._damaged(f"has {len(pictures)} images instead of one", key)
        size, digest = None, None
        for member in pictures:
            expected = self.facts.get("extension")
            if expected is not None and member.name != f"{key}.{expected}":
                self._damaged(f"the manifest says that images are .{expected}", member.name)
            content = read_at(self.path, member.offset, member.size)
            size = self._size_of(member, content)
            digest = hashlib.sha256(content).hexdigest()
        if MAP in parts:
            self._check_map(parts[MAP], size)
        elif names_of(self.facts):
            self._damaged(f"has no .{MAP}", key)
        if JSON in parts:
            self._check_record(key, parts[JSON], size, digest, parts.get(TXT))
        else:
            self._damaged("has no .json", key)
        return len(pictures)

    def _check_map(self, member: Member, size: tuple[int, int] | None) -> None:
        try:
            content = read_at(self.path, member.offset, member.size)
            height, width = decode_map(content, names_of(self.facts)).shape
        except ValueError as error:
            self._damaged(f"is not a map ({error})", member.name)
            return
        if size not in (None, (width, height)):
            self._damaged(f"is {width}x{height}, another size than its image", member.name)

    def _size_of(self, member: Member, content: bytes) -> tuple[int, int] | None:
        try:
            header = read_header(content)
            if not self.intact:
                decode(content)
        except Unreadable as error:
            self._damaged(f"does not decode ({error})", member.name)
            return None
        size = header.width_px, header.height_px
        expected = self.facts.get("width_px", size[0]), self.facts.get("height_px", size[1])
        if size != expected:
            self._damaged(f"is {_by(size)} pixels, the manifest says {_by(expected)}", member.name)
        return size

    def _check_record(
        self,
        key: str,
        member: Member,
        size: tuple[int, int] | None,
        digest: str | None,
        captions: Member | None,
    ) -> None:
        if member.size > MAX_RECORD_BYTES:
            self._damaged(f"has {member.size:,} bytes; no record has", member.name)
            return
        try:
            record = json.loads(read_at(self.path, member.offset, member.size))
            stated = record["width_px"], record["height_px"]
            key_and_split = record["key"], record["split"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            fault = (
                f"lacks {error}" if isinstance(error, KeyError) else f"is not a record ({error})"
            )
            self._damaged(fault, member.name)
            return
        if size is not None and stated != size:
            self._damaged(f"says {_by(stated)} pixels, its image has {_by(size)}", member.name)
        if digest is not None and record.get("image_sha256", digest) != digest:
            self._damaged("its image is not the one that was written", key)
        self._check_source(key, record.get("sha256"))
        self._check_captions(record, captions)
        if key_and_split != (key, self.split):
            fault = "says key {!r} of the split {!r}".format(*key_and_split)
            self._damaged(fault, member.name)

    def _check_captions(self, record: Mapping[str, Any], member: Member | None) -> None:
        if member is None:
            return
        stated = as_lines([str(caption) for caption in captions_of(record)]).encode()
        if stated != read_at(self.path, member.offset, min(member.size, MAX_RECORD_BYTES)):
            self._damaged("its captions are not those of its record", member.name)

    def _check_source(self, key: str, sha256: Any) -> None:
        """Check that no two pictures have the same source: one could be in train, one in val."""
        if not isinstance(sha256, str):
            return
        if sha256 in self.sources:
            self._damaged(f"is cut from the same file as {self.sources[sha256]}", key)
        self.sources.setdefault(sha256, f"{key} of the split '{self.split}'")


def _by(size: tuple[Any, Any]) -> str:
    return f"{size[0]} x {size[1]}"
