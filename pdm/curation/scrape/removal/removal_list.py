"""The list of pictures that must not be used any more (takedowns, withdrawn consent).

A text file; each line is a URL, a key (20 hex digits) or the sha256 of a picture (64 hex digits).
Empty lines and lines that start with # are skipped.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pdm.curation.scrape.entries import KEY_DIGITS, key_of
from pdm.curation.scrape.guard.transport.urls import normalise_url, to_request_url
from pdm.curation.scrape.text import open_text
from pdm.errors import BadInput

_HEX = re.compile(r"[0-9a-f]+")
_SHA256_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Removals:
    """The pictures to remove: some by key, some by URL, some by content."""

    keys: frozenset[str]
    urls: frozenset[str]  # as `normalise_url` returns them
    sha256s: frozenset[str]

    @property
    def any(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.keys or self.sha256s)  # every URL has a key

    def matches_picture(self, key: str, sha256: str | None) -> bool:
        """Whether a picture is to be removed, by its key or its content."""
        return self.matches(key, None, sha256)

    def matches(self, key: str, url: str | None, sha256: str | None) -> bool:
        """Whether a row is to be removed.

        Args:
            key: Its key.
            url: Its request URL, if known.
            sha256: Of its content, if known.
        """
        if key in self.keys or sha256 in self.sha256s:
            return True
        return bool(url) and normalise_url(url or "") in self.urls


def read_removals(path: str | None) -> Removals:
    """Read a list of removals; None gives an empty one.

    Raises:
        BadInput: The file is missing, or a line is not a URL, key or sha256.
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
            normal = normalise_url(to_request_url(text))
            urls.add(normal)
            keys.add(key_of(normal))
        except ValueError as error:
            raise BadInput(
                f"{path}, line {number}: not a URL, a key or a sha256 ({error}); correct the "
                "line, or its image would not be removed"
            ) from error
    return Removals(frozenset(keys), frozenset(urls), frozenset(sha256s))


def _lines(path: str | None) -> list[str]:
    if path is None:
        return []
    try:
        with open_text(Path(path)) as file:
            return file.read().splitlines()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); correct scrape.removed, or create the file"
        ) from error
