"""The entries of a URL list, which is untrusted input.

Nothing is looked up or fetched here. Addresses are checked when a URL is fetched, at every hop, by
`pdm.curation.scrape.guard`.
"""

import logging
import re
from pathlib import Path

from pdm.config.stages.scrape import UrlListSource
from pdm.counts import counted
from pdm.curation.scrape.boxes import normalise_boxes
from pdm.curation.scrape.entries import Entry, dropped
from pdm.curation.scrape.guard.addresses import AddressRule, any_address, public_only
from pdm.curation.scrape.guard.transport.urls import strip_credentials, to_request_url
from pdm.curation.scrape.sources.url_lists.rows import Row, read_rows
from pdm.curation.scrape.text import clean, clean_captions, one_line
from pdm.errors import BadInput

logger = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}")


def entries_of_list(source: UrlListSource) -> list[Entry]:
    """One entry for each row, in order. Rows that must not be fetched already have an outcome.

    Raises:
        BadInput: The file is missing, damaged, empty or not of the kind that its name says, or a
            named column cannot be used.
    """
    path = Path(source.path)
    if not path.is_file():
        raise BadInput(f"{path}: no such URL list; fix scrape.sources in params.yaml")
    name = clean(f"urls:{path.name}") or "urls"
    rule = any_address if source.allow_private_addresses else public_only
    listed: list[Entry] = []
    unusable: list[str] = []
    num_changed = num_undecodable = 0
    for row in read_rows(source, path):
        listed.append(_entry(row, name, rule, unusable))
        num_changed += listed[-1].captions != row.captions
        texts = (*row.fields.values(), *row.captions)
        num_undecodable += any("\ufffd" in text for text in texts if text)
    if not listed:
        raise BadInput(f"{path} has no URLs; add some, or remove it from scrape.sources")
    rows = counted(len(listed), "row")
    if num_changed:
        logger.info("scrape: %s: captions of %s cut or cleaned", path, counted(num_changed, "row"))
    if source.caption_column is not None:
        num_with = sum(bool(entry.captions) for entry in listed)
        logger.info("scrape: %s: %s of %s with a caption", path, num_with, rows)
    if source.boxes_column is not None:
        num_with = sum(entry.boxes is not None for entry in listed)
        logger.info("scrape: %s: %s of %s with boxes", path, num_with, rows)
    if unusable:
        logger.warning(
            "scrape: %s: the boxes of %s cannot be used, so there are none for these images; "
            "the first are of %s",
            path,
            counted(len(unusable), "row"),
            unusable[0],
        )
    if num_undecodable:
        logger.warning(
            "scrape: %s: bytes that are not UTF-8 became U+FFFD in some rows (%s); save the list "
            "as UTF-8 to keep them",
            path,
            f"{num_undecodable:,}",
        )
    return listed


def _entry(row: Row, source: str, rule: AddressRule, unusable: list[str]) -> Entry:
    """The entry of a row; what is wrong with its boxes is added to `unusable`."""
    fields = row.fields
    url = fields["url"] or ""
    sha256 = fields.get("sha256")
    fetch_url, outcome = None, None
    try:
        fetch_url = to_request_url(url)
    except ValueError as error:  # UnicodeError among them
        outcome = dropped("bad_url", str(error))
    if sha256 is not None:
        sha256 = sha256.lower()
        if outcome is None and not _SHA256.fullmatch(sha256):
            outcome = dropped("hash_mismatch", "the list's sha256 does not have 64 hex digits")
    boxes = fields.get("boxes")
    if boxes is not None:
        try:
            boxes = normalise_boxes(boxes)
        except ValueError as error:
            unusable.append(f"{url}: {error}")
            boxes = None
    return Entry(
        identity=url,
        url=strip_credentials(url),
        source=source,
        captions=clean_captions(row.captions),
        licence=clean(fields.get("licence")),
        author=clean(fields.get("author")),
        class_name=one_line(fields.get("class")),
        sha256=sha256,
        fetch_url=fetch_url,
        rule=rule,
        outcome=outcome,
        boxes=boxes,
    )
