"""The stage: list what the sources name, fetch it, write raw shards, and hold the quality gate."""

import logging
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pdm.config.scrape import BuiltinSource, FolderSource, ScrapeConfig, UrlListSource
from pdm.curation.scrape.entries import Entry, Outcome, keyed
from pdm.curation.scrape.fetching.img2dataset import find_img2dataset
from pdm.curation.scrape.fetching.incremental import CachedFetch
from pdm.curation.scrape.raw import write_shards
from pdm.curation.scrape.removal import removal_list
from pdm.curation.scrape.removal.takedown import warn
from pdm.curation.scrape.sources import builtin
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.curation.scrape.summary import Summary
from pdm.errors import QualityGate
from pdm.files import whole_folder

logger = logging.getLogger(__name__)


def scrape(
    config: ScrapeConfig,
    *,
    raw: Path,
    cache: Path | None = None,
    models: Path | None = None,
    decisions: Path | None = None,
    retry_failed: bool = False,
) -> dict[str, int]:
    """Fetch every image of every source into raw shards, with one row for each URL or file.

    The builtin and folder sources give the same bytes every time; rows of a URL list carry the
    time at which they were fetched.

    Args:
        raw: Folder of the shards; replaced as a whole, or left as it was if the stage fails.
        cache: Folder of what was fetched from lists; URLs in it are not fetched again. None keeps
            nothing.
        models: Folder of models; those that have seen a removed picture are named in the log.
        decisions: Of the last run; what stays though it is like a removed picture is named too.
        retry_failed: Fetch what failed before once more.

    Returns:
        Number of rows by status: "ok", "failed", "dropped".

    Raises:
        BadInput: A source is missing, empty or cannot be read, or the removals are. Nothing was
            fetched.
        QualityGate: Too large a part of what was tried failed, or nothing is left.
        Unavailable: img2dataset is not installed or does not run, or the network is down. What was
            fetched is in the cache.
    """
    removals = removal_list.read(config.removed)
    listed = [entry for source in config.sources for entry in _listed(source)]
    if any(not isinstance(source, FolderSource) for source in config.sources):
        find_img2dataset()  # before minutes of drawing, not after
    work = raw.with_name(f".tmp-fetch-{raw.name}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with whole_folder(raw) as folder:
            fetching = CachedFetch(config, cache, removals, retry_failed=retry_failed)
            settled = _fetched(config, listed, work, fetching)
            summary = write_shards(
                folder,
                settled,
                config.num_shards,
                config.max_image_mib,
                removals.has_picture,
            )
            _hold_gate(summary, config.max_failed_fraction)
        fetching.remember_failed()
        if models and decisions and removals.any:
            warn(removals, models=models, raw=raw, decisions=decisions)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return summary.by_status()


def _listed(source: BuiltinSource | FolderSource | UrlListSource) -> list[Entry]:
    """Entries that are known before anything is drawn or fetched."""
    if isinstance(source, FolderSource):
        return entries_of_folder(source)
    return entries_of_list(source) if isinstance(source, UrlListSource) else []


def _fetched(
    config: ScrapeConfig, listed: list[Entry], work: Path, fetching: CachedFetch
) -> dict[str, tuple[Entry, Outcome]]:
    """Every entry with its outcome. The contents lie below `work`, or in the folder sources."""
    with ExitStack() as stack:
        drawn: list[Entry] = []
        for number, source in enumerate(config.sources):
            if isinstance(source, BuiltinSource):
                folder = work / f"drawn-{number}"
                folder.mkdir(parents=True)
                builtin.draw_all(source, folder)
                serving = builtin.served(source, folder, config.timeout_seconds)
                drawn += stack.enter_context(serving)
        entries = keyed([*listed, *drawn])
        fetched = fetching.fetch(entries, work / "fetched")
    return {key: (e, _told(e, fetched[key])) for key, e in entries.items()}


def _told(entry: Entry, outcome: Outcome) -> Outcome:
    """The outcome as it is written down: of the built-in source, equal for equal settings."""
    if entry.source != builtin.NAME:
        return outcome
    return replace(
        outcome,
        retrieved_at=None,
        final_url=builtin.canonical(outcome.final_url),
        error_message=builtin.canonical(outcome.error_message),
    )


def _hold_gate(summary: Summary, max_failed_fraction: float) -> None:
    """Log what came of it, and stop if it is not good enough to hand on."""
    line = summary.line()
    logger.info("scrape: %s", line)
    counts = summary.by_status()
    if not counts["ok"]:
        raise QualityGate(f"scrape got no image at all ({line}); fix scrape.sources")
    fraction = counts["failed"] / (counts["ok"] + counts["failed"])
    if fraction > max_failed_fraction:
        raise QualityGate(
            f"{fraction:.0%} of the images could not be fetched ({line}); the limit is "
            f"scrape.max_failed_fraction = {max_failed_fraction:g}"
        )
