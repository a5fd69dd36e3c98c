"""The stage: lists the entries of the sources, fetches them, writes raw shards, and checks the
quality gate."""

import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from pdm.config.stages.scrape import BuiltinSource, FolderSource, ScrapeConfig, UrlListSource
from pdm.curation.scrape.entries import Entry, Outcome, index_by_key
from pdm.curation.scrape.fetching.failures import check_reasons
from pdm.curation.scrape.fetching.img2dataset import find_img2dataset
from pdm.curation.scrape.fetching.incremental import CachedFetch
from pdm.curation.scrape.maps import copy_maps, names_of_sources
from pdm.curation.scrape.raw import write_shards
from pdm.curation.scrape.removal.removal_list import read_removals
from pdm.curation.scrape.removal.takedown import warn_of_traces
from pdm.curation.scrape.sources import builtin
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.curation.scrape.summary import Summary
from pdm.disk_full import naming_full_disk
from pdm.errors import QualityGate
from pdm.files import atomic_folder

logger = logging.getLogger(__name__)


def scrape(
    config: ScrapeConfig,
    *,
    raw: Path,
    cache: Path | None = None,
    models: Path | None = None,
    decisions: Path | None = None,
    retry_failed: bool = False,
    only_errors: Collection[str] = (),
    max_failed_runs: int | None = None,
) -> dict[str, int]:
    """Fetch every image of every source into raw shards, with one row for each URL or file.

    Built-in and folder sources give the same bytes in every run; rows of a URL list have the time
    at which they were fetched.

    Args:
        config: Sources and limits.
        raw: Folder of the shards; is replaced as a whole, or left unchanged if the stage fails.
        cache: Folder of pictures fetched from lists, which are not fetched again. None stores
            nothing.
        models: Folder of models; those that were trained on a removed picture are logged.
        decisions: Of the last run; near duplicates of removed pictures are logged.
        retry_failed: Fetch again what failed before.
        only_errors: Of that, only what failed for one of these reasons, such as timeout or
            http_5xx; empty: everything.
        max_failed_runs: Of that, only what failed in fewer runs; None: everything.

    Returns:
        Number of rows by status: "ok", "failed", "dropped".

    Raises:
        BadInput: A source or the list of removals is missing, empty or unreadable, or no URL fails
            for a reason in `only_errors`. Nothing was fetched.
        QualityGate: Too many entries failed, or there is no image.
        Unavailable: img2dataset is not installed or does not run, or the network is down. The
            pictures that were fetched are in the cache. Or another process is writing `raw`.
    """
    check_reasons(only_errors)
    removals = read_removals(config.removed)
    map_names = names_of_sources(config.sources)
    left_out = Counter[str]()
    listed = [entry for source in config.sources for entry in _list_entries(source, left_out)]
    if any(not isinstance(source, FolderSource) for source in config.sources):
        find_img2dataset()  # fails here rather than after minutes of drawing
    with atomic_folder(raw) as folder, _work_folder(raw) as work:
        fetching = CachedFetch(
            config,
            cache,
            removals,
            retry_failed=retry_failed,
            only_errors=only_errors,
            max_failed_runs=max_failed_runs,
        )
        outcomes = _fetch_all(config, listed, work, fetching)
        summary = write_shards(
            folder,
            outcomes,
            config.num_shards,
            config.max_image_mib,
            removals.matches_picture,
            left_out,
        )
        copy_maps(folder, outcomes, map_names)
        _check_quality_gate(summary, config.max_failed_share)
    fetching.remember_failed()
    if models and decisions and removals.any:
        warn_of_traces(removals, models=models, raw=raw, decisions=decisions)
    return summary.by_status()


@contextmanager
def _work_folder(raw: Path) -> Iterator[Path]:
    """Yield the path of a folder for what is drawn and fetched. Call it as the only writer of
    `raw`: another run's folder has the same name."""
    work = raw.with_name(f".tmp-fetch-{raw.name}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with naming_full_disk(raw, work):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _list_entries(
    source: BuiltinSource | FolderSource | UrlListSource, boxes_left_out: Counter[str]
) -> list[Entry]:
    """Entries that are known before anything is drawn or fetched."""
    if isinstance(source, FolderSource):
        return entries_of_folder(source, boxes_left_out)
    return entries_of_list(source) if isinstance(source, UrlListSource) else []


def _fetch_all(
    config: ScrapeConfig, listed: list[Entry], work: Path, fetching: CachedFetch
) -> dict[str, tuple[Entry, Outcome]]:
    """Every entry with its outcome. The contents are below `work`, or in the folder sources.

    Built-in pictures are fetched while others are drawn, so that drawing hides the start of
    img2dataset and the time-out of the slow picture.
    """
    with ExitStack() as stack:
        processes = stack.enter_context(builtin.drawing_processes())
        builtin_entries: list[Entry] = []
        for number, source in enumerate(config.sources):
            if isinstance(source, BuiltinSource):
                folder = work / f"drawn-{number}"
                folder.mkdir(parents=True)
                drawings = builtin.draw_all(source, folder, processes)
                serving = builtin.serve_pictures(source, folder, drawings, config.timeout_seconds)
                builtin_entries += stack.enter_context(serving)
        entries = index_by_key([*listed, *builtin_entries])
        outcomes = fetching.fetch(entries, work / "fetched")
        entries = {key: builtin.with_boxes(entry) for key, entry in entries.items()}
    return {key: (e, _without_run_details(e, outcomes[key])) for key, e in entries.items()}


def _without_run_details(entry: Entry, outcome: Outcome) -> Outcome:
    """The outcome; for built-in pictures without time and port, so that runs are equal."""
    if entry.source != builtin.NAME:
        return outcome
    return replace(
        outcome,
        retrieved_at=None,
        final_url=builtin.without_port(outcome.final_url),
        error_message=builtin.without_port(outcome.error_message),
    )


def _check_quality_gate(summary: Summary, max_failed_share: float) -> None:
    """Log the summary, and raise if too much failed.

    Raises:
        QualityGate: There is no image, or more than `max_failed_share` failed.
    """
    line = summary.line()
    logger.info("scrape: %s", line)
    counts = summary.by_status()
    if not counts["ok"]:
        raise QualityGate(
            f"scrape got no image at all ({line}); fix scrape.sources "
            "(docs/decisions/img2dataset.md explains the reasons)"
        )
    share = counts["failed"] / (counts["ok"] + counts["failed"])
    if share > max_failed_share:
        raise QualityGate(
            f"{share:.0%} of the images could not be fetched ({line}); the limit is "
            f"scrape.max_failed_share = {max_failed_share:g}"
        )
