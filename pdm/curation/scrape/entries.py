"""What a source names, and what became of it. Every entry ends as ok, dropped (final) or failed
(may be tried again), the last two with a reason."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

Status = Literal["ok", "failed", "dropped"]

KEY_DIGITS = 20
_DEFAULT_PORTS = {"http": 80, "https": 443}


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
    fetch_url: str | None = None  # where to fetch it from; null if there is nothing to fetch
    outcome: Outcome | None = None  # null while it is to be fetched


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
        key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:KEY_DIGITS]
        if entry.outcome is None and entry.fetch_url is not None:
            address = normal_form(entry.fetch_url)
            if address in fetched:
                again = dropped("duplicate_url", "the same URL stands earlier in the sources")
                entry = replace(entry, outcome=again)
            fetched.add(address)
        found[key] = entry
    return found


def normal_form(url: str) -> str:
    """Equal for URLs that a server cannot tell apart: no fragment, host in lower case, no default
    port."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    port = parts.port if parts.port != _DEFAULT_PORTS.get(scheme) else None
    place = f"{host}:{port}" if port else host
    return parts._replace(scheme=scheme, netloc=place, path=parts.path or "/", fragment="").geturl()
