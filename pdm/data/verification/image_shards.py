"""Checks what shards of pictures hold: members, keys, records, and pictures of the stated size."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.data.decoding.pixels import Unreadable, decode, read_header
from pdm.data.shards.manifest import Manifest, Shard
from pdm.data.shards.tar_headers import Hostile, scan
from pdm.data.shards.tars import Member, read_at
from pdm.data.verification.damage import Findings
from pdm.progress import Progress

STAGE = "shard"
JSON = "json"
MAX_MEMBER_BYTES = 2**30  # an uncompressed picture of 350 megapixels
MAX_RECORD_BYTES = 2**20
NAME = re.compile(r"(?P<key>[a-z0-9_-]+)\.(?P<extension>[a-z0-9]+)")


def check_pictures(
    folder: Path, listed: Manifest, intact: Mapping[str, bool], found: Findings
) -> None:
    """Look into every shard that is there.

    Args:
        folder: Of the shards.
        listed: Their manifest.
        intact: Whether a shard's sha256 is the stated one. Of others, every picture is decoded, so
            that the damaged ones can be named.
        found: Takes what is wrong.
    """
    seen: dict[str, str] = {}
    sources: dict[str, str] = {}
    progress = Progress(f"look into {folder}", found.num_samples)
    for split, shards in listed.splits.items():
        for shard in shards:
            if (folder / shard.name).is_file():
                one = _Shard(folder / shard.name, split, listed.facts, intact[shard.name], found)
                one.sources = sources
                one.check(shard, seen)
            progress.advance(shard.num_samples)


class _Shard:
    """The check of one shard."""

    def __init__(
        self, path: Path, split: str, facts: Mapping[str, Any], intact: bool, found: Findings
    ) -> None:
        self.path, self.split, self.facts = path, split, facts
        self.intact, self.found = intact, found
        self.sources: dict[str, str] = {}  # sha256 of a source file -> the picture cut from it

    def check(self, shard: Shard, seen: dict[str, str]) -> None:
        """Go through the tar once; `seen` are the keys of all shards so far and where they are."""
        num_samples, last = 0, ""
        parts: dict[str, Member] = {}
        for entry in scan(self.path, MAX_MEMBER_BYTES):
            if isinstance(entry, Hostile):
                self._damaged(entry.fault, entry.name)
                continue
            match = NAME.fullmatch(entry.name)
            if match is None:
                self._damaged("is not named `key.extension` in a-z, 0-9, _ and -", entry.name)
                continue
            key, extension = match["key"], match["extension"]
            if key != last:
                num_samples += self._finish(last, parts)
                self._check_place(key, last, seen)
                last, parts = key, {}
            if extension in parts:
                self._damaged("stands twice in the sample", entry.name)
            parts[extension] = entry
        num_samples += self._finish(last, parts)
        if num_samples != shard.num_samples:
            self._damaged(f"holds {num_samples} pictures, the manifest says {shard.num_samples}")

    def _damaged(self, fault: str, member: str | None = None) -> None:
        self.found.add(self.path, fault, STAGE, member)

    def _check_place(self, key: str, last: str, seen: dict[str, str]) -> None:
        if key in seen:
            self._damaged(f"its key stands in {seen[key]} already", key)
        elif key < last:
            self._damaged(f"is out of order, it follows {last}", key)
        seen.setdefault(key, self.path.name)

    def _finish(self, key: str, parts: Mapping[str, Member]) -> int:
        """Check a sample; returns the number of pictures in it."""
        pictures = [member for extension, member in parts.items() if extension != JSON]
        if not parts:
            return 0
        if len(pictures) != 1:
            self._damaged(f"has {len(pictures)} pictures instead of one", key)
        size, digest = None, None
        for member in pictures:
            wanted = self.facts.get("extension")
            if wanted is not None and member.name != f"{key}.{wanted}":
                self._damaged(f"the manifest says that pictures are .{wanted}", member.name)
            content = read_at(self.path, member.offset, member.size)
            size = self._size_of(member, content)
            digest = hashlib.sha256(content).hexdigest()
        if JSON in parts:
            self._check_record(key, parts[JSON], size, digest)
        else:
            self._damaged("has no .json", key)
        return len(pictures)

    def _size_of(self, member: Member, content: bytes) -> tuple[int, int] | None:
        try:
            header = read_header(content)
            if not self.intact:
                decode(content)
        except Unreadable as error:
            self._damaged(f"does not decode ({error})", member.name)
            return None
        size = header.width_px, header.height_px
        wanted = self.facts.get("width_px", size[0]), self.facts.get("height_px", size[1])
        if size != wanted:
            self._damaged(f"is {_by(size)} pixels, the manifest says {_by(wanted)}", member.name)
        return size

    def _check_record(
        self, key: str, member: Member, size: tuple[int, int] | None, digest: str | None
    ) -> None:
        if member.size > MAX_RECORD_BYTES:
            self._damaged(f"has {member.size:,} bytes; no record has", member.name)
            return
        try:
            record = json.loads(read_at(self.path, member.offset, member.size))
            stated = record["width_px"], record["height_px"]
            named = record["key"], record["split"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            fault = f"lacks {error}" if isinstance(error, KeyError) else f"is no record ({error})"
            self._damaged(fault, member.name)
            return
        if size is not None and stated != size:
            self._damaged(f"says {_by(stated)} pixels, its picture has {_by(size)}", member.name)
        if digest is not None and record.get("image_sha256", digest) != digest:
            self._damaged("its picture is not the one that was written", key)
        self._check_source(key, record.get("sha256"))
        if named != (key, self.split):
            self._damaged(f"says key {named[0]!r} of the split {named[1]!r}", member.name)

    def _check_source(self, key: str, sha256: Any) -> None:
        """No file may give two pictures: the held-out split would know a picture of training."""
        if not isinstance(sha256, str):
            return
        if sha256 in self.sources:
            self._damaged(f"is cut from the same file as {self.sources[sha256]}", key)
        self.sources.setdefault(sha256, f"{key} of the split '{self.split}'")


def _by(size: tuple[Any, Any]) -> str:
    return f"{size[0]} x {size[1]}"
