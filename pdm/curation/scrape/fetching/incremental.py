"""Fetches what is not in the cache yet, and stores it there."""

import logging
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from pdm.config.stages.scrape import ScrapeConfig
from pdm.counts import counted
from pdm.curation.scrape.entries import Content, Entry, Outcome, dropped
from pdm.curation.scrape.fetching.cache import FetchCache
from pdm.curation.scrape.fetching.failures import is_among
from pdm.curation.scrape.fetching.fetch import error_outcome, fetch, picture_outcome
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Target
from pdm.curation.scrape.guard.gateway import Result
from pdm.curation.scrape.removal.removal_list import Removals
from pdm.curation.scrape.sources import builtin

logger = logging.getLogger(__name__)


class CachedFetch:
    """The fetch of one run, with a cache.

    Args:
        config: The limits.
        cache: Folder of a `FetchCache`, or None to store nothing.
        removals: Are removed from the cache, and not fetched.
        retry_failed: Fetch again what failed before.
        only_errors: Of that, only what failed for one of these reasons, such as timeout or
            http_5xx; empty: everything.
        max_failed_runs: Of that, only what failed in fewer runs; None: everything.
    """

    def __init__(
        self,
        config: ScrapeConfig,
        cache: Path | None,
        removals: Removals,
        *,
        retry_failed: bool,
        only_errors: Collection[str] = (),
        max_failed_runs: int | None = None,
    ) -> None:
        self._config, self._removals, self._retry_failed = config, removals, retry_failed
        self._only_errors, self._max_failed_runs = only_errors, max_failed_runs
        self._cache = FetchCache(cache, config) if cache else None
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[Target, Outcome]] = {}

    def fetch(self, entries: Mapping[str, Entry], folder: Path) -> dict[str, Outcome]:
        """An outcome for every entry, from the list, the cache or the network.

        Args:
            entries: By key.
            folder: Is created; afterwards it has the contents that were fetched now.

        Raises:
            Unavailable, OSError, Exception: See `pdm.curation.scrape.fetching.fetch.fetch`.
        """
        if self._cache is not None and self._removals.any:
            num_removed = self._cache.remove_matching(self._removals.matches)
            if num_removed:
                logger.info("scrape: %s removed from the cache", f"{num_removed:,}")
        outcomes: dict[str, Outcome] = {}
        targets: dict[str, Target] = {}
        for key, entry in entries.items():
            if outcome := self._outcome_without_fetching(key, entry):
                outcomes[key] = outcome
            elif entry.fetch_url is not None:
                targets[key] = Target(
                    url=entry.fetch_url,
                    rule=entry.rule,
                    sha256=entry.sha256,
                    ready=entry.drawing,
                )
        cached = self._look_up_cached(entries, targets)
        to_fetch = {key: target for key, target in targets.items() if key not in cached}
        if cached:
            logger.info(
                "scrape: %s to fetch, %s fetched before",
                counted(len(to_fetch), "URL"),
                f"{len(cached):,}",
            )

        def store(key: str, result: Result, path: Path) -> None:
            if entries[key].source != builtin.NAME:
                self._store(key, to_fetch[key], result, path)

        return outcomes | cached | fetch(to_fetch, self._config, folder, store)

    def remember_failed(self) -> None:
        """Store what failed, so that later runs do not try it again without `--retry-failed`.

        Only after a run that ended well: the failures of a broken network say nothing.
        """
        if self._cache is not None:
            for key, (target, outcome) in self._failed.items():
                self._cache.store(key, target, outcome, None)

    def _outcome_without_fetching(self, key: str, entry: Entry) -> Outcome | None:
        if self._removals.matches(key, entry.fetch_url, None):
            return dropped("removed", "is in the list of removals")
        return entry.outcome

    def _look_up_cached(
        self, entries: Mapping[str, Entry], targets: Mapping[str, Target]
    ) -> dict[str, Outcome]:
        cached: dict[str, Outcome] = {}
        retried, left, given_up = Counter[str](), Counter[str](), Counter[str]()
        for key, target in targets.items():
            if self._cache is None or entries[key].source == builtin.NAME:
                continue
            outcome = self._cache.look_up(key, target)
            if outcome is None:
                continue
            counts = left
            if self._retry_failed and self._is_to_retry(outcome):
                counts = given_up if self._failed_too_often(key, target) else retried
            if outcome.status == "failed":
                counts[str(outcome.reason)] += 1
            if counts is not retried:
                cached[key] = outcome
        if self._retry_failed:
            logger.info(
                "scrape: of what failed before, %s fetched again, %s not%s",
                _list(retried),
                _list(left),
                f", {_list(given_up)} not after {counted(self._max_failed_runs or 0, 'run')}"
                if given_up
                else "",
            )
        return cached

    def _is_to_retry(self, outcome: Outcome) -> bool:
        return outcome.status == "failed" and (
            not self._only_errors or is_among(outcome.reason or "", self._only_errors)
        )

    def _failed_too_often(self, key: str, target: Target) -> bool:
        if self._cache is None or self._max_failed_runs is None:
            return False
        return self._cache.failed_runs(key, target) >= self._max_failed_runs

    def _store(self, key: str, target: Target, result: Result, path: Path) -> None:
        if isinstance(result, FetchError):
            outcome = error_outcome(result)
            if outcome.status == "failed":
                with self._lock:
                    self._failed[key] = (target, outcome)
            elif self._cache is not None:
                self._cache.store(key, target, outcome, None)
        elif self._cache is not None and not self._removals.matches(
            key, target.url, result.body.sha256
        ):
            outcome = picture_outcome(result, Content(path, 0, result.body.size))
            self._cache.store(key, target, outcome, path)


def _list(reasons: Counter[str]) -> str:
    """Such as "12 (dns 2, timeout 10)"."""
    listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
    return f"{reasons.total():,}" + (f" ({listed})" if listed else "")
