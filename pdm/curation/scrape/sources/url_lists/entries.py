"""The entries of a URL list. A list is untrusted input.

Nothing is looked up or fetched here: what a URL leads to is judged when it is fetched, at every
hop, by `pdm.curation.scrape.guard`.
"""

import logging
import re
from pathlib import Path

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape.entries import Entry, dropped
from pdm.curation.scrape.guard.addresses import AddressRule, anything, public_only
from pdm.curation.scrape.guard.transport.urls import fetchable, without_credentials
from pdm.curation.scrape.sources.url_lists.rows import Row, rows
from pdm.curation.scrape.text import clean, one_line
from pdm.errors import BadInput

logger = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")


def entries_of_list(source: UrlListSource) -> list[Entry]:
    """One entry per row, in the list's order; those that must not be fetched have their outcome.

    Raises:
        BadInput: The file is missing, damaged, not what its name says or holds no rows, or a named
            column cannot be used.
    """
    path = Path(source.path)
    if not path.is_file():
        raise BadInput(f"{path}: no such URL list; fix scrape.sources in params.yaml")
    name = clean(f"urls:{path.name}") or "urls"
    rule = anything if source.allow_private_addresses else public_only
    listed: list[Entry] = []
    num_changed = num_undecodable = 0
    for row in rows(source, path):
        listed.append(_entry(row, name, rule))
        num_changed += listed[-1].caption != row.get("caption")
        num_undecodable += any("\ufffd" in text for text in row.values() if text)
    if not listed:
        raise BadInput(f"{path} names no URL; add some, or take it out of scrape.sources")
    if num_changed:
        logger.info("scrape: %s: %s captions cut or cleaned", path, f"{num_changed:,}")
    if num_undecodable:
        logger.warning(
            "scrape: %s: %s rows hold bytes that are not UTF-8, which became U+FFFD; save the list "
            "as UTF-8 to keep them",
            path,
            f"{num_undecodable:,}",
        )
    return listed


def _entry(row: Row, source: str, rule: AddressRule) -> Entry:
    url = row["url"] or ""
    sha256 = row.get("sha256")
    fetch_url, outcome = None, None
    try:
        fetch_url = fetchable(url)
    except ValueError as error:  # UnicodeError among them
        outcome = dropped("bad_url", str(error))
    if sha256 is not None:
        sha256 = sha256.lower()
        if outcome is None and not _SHA256.fullmatch(sha256):
            outcome = dropped("hash_mismatch", "what the list gives as sha256 is none")
    return Entry(
        identity=url,
        url=without_credentials(url),
        source=source,
        caption=clean(row.get("caption")),
        licence=clean(row.get("licence")),
        author=clean(row.get("author")),
        class_name=one_line(row.get("class")),
        sha256=sha256,
        fetch_url=fetch_url,
        rule=rule,
        outcome=outcome,
    )
