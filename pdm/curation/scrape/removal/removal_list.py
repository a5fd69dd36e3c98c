"""The list of what must not be used any more: takedowns, withdrawn consent.

A text file; each line is a URL, a key (20 hex digits) or the sha256 of a picture (64 hex digits).
Empty lines and lines that start with # are skipped.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pdm.curation.scrape.entries import KEY_DIGITS, key_of
from pdm.curation.scrape.guard.transport.urls import fetchable, normal_form
from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

_HEX = re.compile(r"[0-9a-f]+")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Removals:
    """What is to be removed, in each of its forms."""

    keys: frozenset[str]
    urls: frozenset[str]  # in normal form
    sha256s: frozenset[str]

    @property
    def any(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.keys or self.sha256s)

    def has_picture(self, key: str, sha256: str | None) -> bool:
        """Whether a picture is to be removed, by its row or its content."""
        return self.covers(key, None, sha256)

    def covers(self, key: str, url: str | None, sha256: str | None) -> bool:
        """Whether something is to be removed, by as much of it as is known.

        Args:
            key: Of its row.
            url: Where it is fetched from.
            sha256: Of its content.
        """
        if key in self.keys or sha256 in self.sha256s:
            return True
        return bool(url) and normal_form(url or "") in self.urls


def read(path: str | None) -> Removals:
    """The removals of a file; none without one.

    Raises:
        BadInput: The file is missing, or a line is none of the three.
    """
    keys: set[str] = set()
    urls: set[str] = set()
    sha256s: set[str] = set()
    for number, line in enumerate(_lines(path), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if _HEX.fullmatch(text.lower()) and len(text) in (KEY_DIGITS, _SHA256_DIGITS):
            (keys if len(text) == KEY_DIGITS else sha256s).add(text.lower())
            continue
        keys.add(key_of(text))
        try:
            normal = normal_form(fetchable(text))
            urls.add(normal)
            keys.add(key_of(normal))
        except ValueError as error:
            raise BadInput(
                f"{path}, line {number}: not a URL, a key or a sha256 ({error}); fix it, or a "
                "picture may stay that must not"
            ) from error
    return Removals(frozenset(keys), frozenset(urls), frozenset(sha256s))


def _lines(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        with open_text(Path(path)) as file:
            return file.read().splitlines()
    except OSError as error:
        raise BadInput(f"{path}: no list of removals there; fix scrape.removed") from error
