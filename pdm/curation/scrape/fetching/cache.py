"""A cache of fetched pictures, so that a run fetches only what is new.

A folder with two files for every URL, by its key: its outcome (`KEY.json`) and the picture (`KEY`).
It is written while pictures arrive, so that an interrupted run continues from there. It is outside
DVC, which clears a stage's outputs before it runs. Deleting it costs only time.

Failures are stored only when a run ends well; `--retry-failed` tries them again. Their outcome says
in how many runs they failed one after the other (`failed_runs`).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pdm.config.stages.scrape import ScrapeConfig
from pdm.curation.scrape.entries import Content, Outcome
from pdm.curation.scrape.guard.addresses import public_only
from pdm.curation.scrape.guard.fetcher import Target
from pdm.disk_full import naming_full_disk
from pdm.files import sha256_of

_OUTCOME_FIELDS = ("status", "reason", "error_message", "retrieved_at", "final_url", "sha256")


@dataclass(frozen=True, slots=True)
class FetchCache:
    """Outcomes by key. Safe for many threads, each with its own keys.

    Args:
        folder: Is created when something is stored.
        config: An outcome is valid for the settings that it depends on.
    """

    folder: Path
    config: ScrapeConfig

    def look_up(self, key: str, target: Target) -> Outcome | None:
        """The outcome of an earlier run; None if the URL has to be fetched (again)."""
        record = _read(self._record_path(key))
        if (
            record is None
            or record["url"] != target.url
            or record["rules"] != self._rules(target, record["reason"])
        ):
            return None
        outcome = Outcome(**{name: record[name] for name in _OUTCOME_FIELDS})
        if outcome.status != "ok":
            return outcome
        if target.sha256 not in (None, outcome.sha256) or not self._is_intact(key, outcome):
            return None
        path = self._picture_path(key)
        return replace(outcome, content=Content(path, 0, path.stat().st_size))

    def failed_runs(self, key: str, target: Target) -> int:
        """In how many runs the URL failed, one after the other."""
        record = _read(self._record_path(key))
        if record is None or record["url"] != target.url or record["status"] != "failed":
            return 0
        return int(record.get("failed_runs", 1))  # older records lack it

    def store(self, key: str, target: Target, outcome: Outcome, picture: Path | None) -> None:
        """Store the outcome of a URL; the file `picture` is moved into the cache.

        Raises:
            DiskFull: The disk is full; the error names the cache's folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with naming_full_disk(self.folder, self.folder):
            self._store(key, target, outcome, picture)

    def _store(self, key: str, target: Target, outcome: Outcome, picture: Path | None) -> None:
        path = self._record_path(key)
        failed_runs = self.failed_runs(key, target) + 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # first: a record must never describe another picture
        if picture is not None:
            temporary = path.with_name(f".tmp-{key}")
            shutil.move(picture, temporary)  # may be on another disk
            temporary.replace(self._picture_path(key))
        record = {name: getattr(outcome, name) for name in _OUTCOME_FIELDS}
        record |= {"url": target.url, "rules": self._rules(target, outcome.reason)}
        if outcome.status == "failed":
            record["failed_runs"] = failed_runs
        temporary = path.with_name(f".tmp-{path.name}")
        temporary.write_text(json.dumps(record, sort_keys=True), encoding="utf-8")
        temporary.replace(path)

    def remove_matching(self, unwanted: Callable[[str, str, str | None], bool]) -> int:
        """Delete entries that `unwanted` says yes to, given key, URL and sha256.

        Returns:
            Their number.
        """
        count = 0
        for path in list(self.folder.glob("*/*.json")):
            key = path.stem
            record = _read(path) or {"url": "", "sha256": None}
            if unwanted(key, record["url"], record["sha256"]):
                path.unlink()
                self._picture_path(key).unlink(missing_ok=True)
                count += 1
        return count

    def _is_intact(self, key: str, outcome: Outcome) -> bool:
        path = self._picture_path(key)
        return path.is_file() and sha256_of(path) == outcome.sha256

    def _picture_path(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _record_path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _rules(self, target: Target, reason: str | None) -> dict[str, Any]:
        """The settings that an outcome depends on."""
        rules: dict[str, Any] = {
            "public_only": target.rule is public_only,
            "respect_robots": self.config.respect_robots,
            "respect_opt_outs": self.config.respect_opt_outs,
        }
        by_reason = {"too_large": self.config.max_image_mib, "hash_mismatch": target.sha256}
        return rules | ({reason: by_reason[reason]} if reason in by_reason else {})


def _read(path: Path) -> dict[str, Any] | None:
    """A record, or None if it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_whole = isinstance(record, dict) and record.keys() >= {*_OUTCOME_FIELDS, "url", "rules"}
    return record if is_whole else None
