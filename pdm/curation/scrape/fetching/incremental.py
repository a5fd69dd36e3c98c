"""Fetching what is not known yet, and remembering what comes."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.entries import Content, Entry, Outcome, dropped
from pdm.curation.scrape.fetching.cache import FetchCache
from pdm.curation.scrape.fetching.fetch import fault_outcome, fetch, picture_outcome
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.fetcher import Target
from pdm.curation.scrape.guard.gateway import Result
from pdm.curation.scrape.removal.removal_list import Removals
from pdm.curation.scrape.sources import builtin

logger = logging.getLogger(__name__)


class CachedFetch:
    """One run's fetch.

    Args:
        config: The limits.
        cache: Folder of a `FetchCache`, or None to keep nothing.
        removals: Leave the cache, and are not fetched.
        retry_failed: Whether what failed before is fetched again.
    """

    def __init__(
        self, config: ScrapeConfig, cache: Path | None, removals: Removals, *, retry_failed: bool
    ) -> None:
        self._config, self._removals, self._retry_failed = config, removals, retry_failed
        self._cache = FetchCache(cache, config) if cache else None
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[Target, Outcome]] = {}

    def fetch(self, entries: Mapping[str, Entry], folder: Path) -> dict[str, Outcome]:
        """An outcome for every entry, from the list, the cache or the network.

        Args:
            entries: By key.
            folder: Made; the contents of what is fetched now lie in it.

        Raises:
            Unavailable, OSError: See `pdm.curation.scrape.fetching.fetch.fetch`.
        """
        if self._cache is not None and self._removals.any:
            num_forgotten = self._cache.forget(self._removals.covers)
            if num_forgotten:
                logger.info("scrape: %s removed from the cache", f"{num_forgotten:,}")
        settled = {key: out for key, e in entries.items() if (out := self._settled(key, e))}
        targets = {
            key: Target(url=entry.fetch_url, rule=entry.rule, sha256=entry.sha256)
            for key, entry in entries.items()
            if key not in settled and entry.fetch_url is not None
        }
        known = self._known(entries, targets)
        to_fetch = {key: target for key, target in targets.items() if key not in known}
        if known:
            logger.info(
                "scrape: %s URLs to fetch, %s fetched before",
                f"{len(to_fetch):,}",
                f"{len(known):,}",
            )

        def keep(key: str, result: Result, path: Path) -> None:
            if entries[key].source != builtin.NAME:
                self._keep(key, to_fetch[key], result, path)

        return settled | known | fetch(to_fetch, self._config, folder, keep)

    def remember_failed(self) -> None:
        """Have later runs not try again what failed in this one, unless they are told to.

        For the end of a run that was good on the whole: a broken network is nothing to remember.
        """
        if self._cache is not None:
            for key, (target, outcome) in self._failed.items():
                self._cache.keep(key, target, outcome, None)

    def _settled(self, key: str, entry: Entry) -> Outcome | None:
        if self._removals.covers(key, entry.fetch_url, None):
            return dropped("removed", "stands in the removals")
        return entry.outcome

    def _known(
        self, entries: Mapping[str, Entry], targets: Mapping[str, Target]
    ) -> dict[str, Outcome]:
        found: dict[str, Outcome] = {}
        for key, target in targets.items():
            if self._cache is None or entries[key].source == builtin.NAME:
                continue
            outcome = self._cache.known(key, target)
            if outcome and not (self._retry_failed and outcome.status == "failed"):
                found[key] = outcome
        return found

    def _keep(self, key: str, target: Target, result: Result, path: Path) -> None:
        if isinstance(result, Fault):
            outcome = fault_outcome(result)
            if outcome.status == "failed":
                with self._lock:
                    self._failed[key] = (target, outcome)
            elif self._cache is not None:
                self._cache.keep(key, target, outcome, None)
        elif self._cache is not None and not self._removals.covers(
            key, target.url, result.body.sha256
        ):
            outcome = picture_outcome(result, Content(path, 0, result.body.size))
            self._cache.keep(key, target, outcome, path)
