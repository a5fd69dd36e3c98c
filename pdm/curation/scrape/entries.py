"""Entries of sources and their outcomes. Every entry ends as ok, dropped (final) or failed (may be
tried again), the last two with a reason."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pdm.curation.scrape.guard.addresses import AddressRule, public_only
from pdm.curation.scrape.guard.transport.urls import normalise_url

Status = Literal["ok", "failed", "dropped"]

KEY_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Content:
    """The place of an image's bytes: a file, or a part of one."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result for an entry."""

    status: Status
    reason: str | None = None
    error_message: str | None = None
    content: Content | None = None  # of an entry that is ok
    retrieved_at: str | None = None  # UTC, ISO 8601; null for built-in pictures
    final_url: str | None = None  # after redirects; of an entry that was fetched
    sha256: str | None = None  # of the content, when it was fetched


def dropped(reason: str, message: str) -> Outcome:
    """A final outcome."""
    return Outcome(status="dropped", reason=reason, error_message=message)


def failed(reason: str, message: str) -> Outcome:
    """An outcome that another run may change."""
    return Outcome(status="failed", reason=reason, error_message=message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One URL of a list, or one file of a folder."""

    identity: str  # the URL, or the folder's name and the path below it; the key is its hash
    url: str
    source: str
    captions: tuple[str, ...] = ()  # one text, or several for the same picture
    licence: str | None = None
    author: str | None = None
    class_name: str | None = None
    sha256: str | None = None  # of the content, if the list has it
    fetch_url: str | None = None  # null if there is nothing to fetch
    rule: AddressRule = public_only  # allowed addresses
    outcome: Outcome | None = None  # null until it is fetched
    class_map: Path | None = None  # a local file, see `pdm.data.annotations.maps`
    boxes: str | None = None  # JSON, see `pdm.data.annotations.boxes`
    drawing: Future[str | None] | None = None  # of a built-in picture; its result is the boxes

    @property
    def caption(self) -> str | None:
        """The first caption, if there is one."""
        return self.captions[0] if self.captions else None


def key_of(identity: str) -> str:
    """The first 20 hex digits of the sha256 of an identity."""
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:KEY_DIGITS]


def index_by_key(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by key, in order. Repeated URLs are dropped as `duplicate_url`.

    A key is the first 20 hex digits of the sha256 of the entry's identity; for the n-th repetition,
    of the identity, a line break and n.
    """
    times: Counter[str] = Counter()
    urls: set[str] = set()
    by_key: dict[str, Entry] = {}
    for entry in entries:
        count = times[entry.identity]
        times[entry.identity] += 1
        key = key_of(f"{entry.identity}\n{count}" if count else entry.identity)
        if entry.outcome is None and entry.fetch_url is not None:
            url = normalise_url(entry.fetch_url)
            if url in urls:
                repeated = dropped("duplicate_url", "the sources name the same URL earlier")
                entry = replace(entry, outcome=repeated)
            urls.add(url)
        by_key[key] = entry
    return by_key
