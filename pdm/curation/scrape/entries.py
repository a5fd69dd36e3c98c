"""What a source names, and what became of it. Every entry ends as ok, dropped (final) or failed
(may be tried again), the last two with a reason."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pdm.curation.scrape.guard.addresses import AddressRule, public_only
from pdm.curation.scrape.guard.transport.urls import normal_form

Status = Literal["ok", "failed", "dropped"]

KEY_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Content:
    """Where the bytes of an image lie for now: a file, or a part of one."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of an entry."""

    status: Status
    reason: str | None = None
    error_message: str | None = None
    content: Content | None = None  # of an entry that is ok
    retrieved_at: str | None = None  # UTC, ISO 8601; null where it would make equal inputs differ
    final_url: str | None = None  # after redirects; of an entry that was fetched
    sha256: str | None = None  # of the content, as it was when it was fetched


def dropped(reason: str, message: str) -> Outcome:
    """Out for good."""
    return Outcome(status="dropped", reason=reason, error_message=message)


def failed(reason: str, message: str) -> Outcome:
    """Not to be had this time."""
    return Outcome(status="failed", reason=reason, error_message=message)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One URL of a list, or one file of a folder."""

    identity: str  # its key is the hash of this: the URL, or a folder's name and the path below it
    url: str
    source: str
    caption: str | None = None
    licence: str | None = None
    author: str | None = None
    class_name: str | None = None
    sha256: str | None = None  # of the content, if the list tells it
    fetch_url: str | None = None  # where to fetch it from; null if there is nothing to fetch
    rule: AddressRule = public_only  # which addresses it may be fetched from
    outcome: Outcome | None = None  # null while it is to be fetched


def key_of(identity: str) -> str:
    """The first 20 hex digits of the sha256 of an identity."""
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:KEY_DIGITS]


def keyed(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by key, in their order, the second and later ones of a URL dropped.

    A key is the first 20 hex digits of the sha256 of the entry's identity; where an identity
    stands again, of the identity, a line break and the number of times it stood before.
    """
    times: Counter[str] = Counter()
    fetched: set[str] = set()
    found: dict[str, Entry] = {}
    for entry in entries:
        count = times[entry.identity]
        times[entry.identity] += 1
        text = f"{entry.identity}\n{count}" if count else entry.identity
        key = key_of(text)
        if entry.outcome is None and entry.fetch_url is not None:
            address = normal_form(entry.fetch_url)
            if address in fetched:
                again = dropped("duplicate_url", "the same URL stands earlier in the sources")
                entry = replace(entry, outcome=again)
            fetched.add(address)
        found[key] = entry
    return found
