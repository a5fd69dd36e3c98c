"""What was fetched before, so that a run fetches what is new and nothing else.

A folder with two files for every URL, by its key: what came of it (`KEY.json`) and the picture
(`KEY`). It is written while pictures come in, so that a run that is cut off goes on from there. It
lies outside DVC, which clears a stage's outputs before it runs. To delete it costs only time.

What failed is remembered only when a run ends well, and is tried again when asked for.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.entries import Content, Outcome
from pdm.curation.scrape.guard.addresses import public_only
from pdm.curation.scrape.guard.fetcher import Target
from pdm.files import sha256_of

_TOLD = ("status", "reason", "error_message", "retrieved_at", "final_url", "sha256")


@dataclass(frozen=True, slots=True)
class FetchCache:
    """Outcomes by key. Safe for many threads, each with its own keys.

    Args:
        folder: Made when something is kept.
        config: An outcome holds for the rules under which it came about.
    """

    folder: Path
    config: ScrapeConfig

    def known(self, key: str, target: Target) -> Outcome | None:
        """What came of a URL before, its picture unharmed; None if it has to be fetched."""
        told = _read(self._record(key))
        if (
            told is None
            or told["url"] != target.url
            or told["rules"] != self._rules(target, told["reason"])
        ):
            return None
        outcome = Outcome(**{name: told[name] for name in _TOLD})
        if outcome.status != "ok":
            return outcome
        if target.sha256 not in (None, outcome.sha256) or not self._is_whole(key, outcome):
            return None
        picture = self._picture(key)
        content = Content(picture, 0, picture.stat().st_size)
        return Outcome(**{name: told[name] for name in _TOLD}, content=content)

    def keep(self, key: str, target: Target, outcome: Outcome, picture: Path | None) -> None:
        """Remember what came of a URL; a picture's file is moved here."""
        record = self._record(key)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.unlink(missing_ok=True)  # first: it must never speak of another picture
        if picture is not None:
            arriving = record.with_name(f".tmp-{key}")
            shutil.move(picture, arriving)  # from another disk, if need be
            arriving.replace(self._picture(key))
        told = {name: getattr(outcome, name) for name in _TOLD}
        told |= {"url": target.url, "rules": self._rules(target, outcome.reason)}
        arriving = record.with_name(f".tmp-{record.name}")
        arriving.write_text(json.dumps(told, sort_keys=True), encoding="utf-8")
        arriving.replace(record)

    def forget(self, unwanted: Callable[[str, str, str | None], bool]) -> int:
        """Delete what is unwanted, by its key, its URL and its sha256; gives the number."""
        count = 0
        for record in list(self.folder.glob("*/*.json")):
            key = record.stem
            told = _read(record) or {"url": "", "sha256": None}
            if unwanted(key, told["url"], told["sha256"]):
                record.unlink()
                self._picture(key).unlink(missing_ok=True)
                count += 1
        return count

    def _is_whole(self, key: str, outcome: Outcome) -> bool:
        picture = self._picture(key)
        return picture.is_file() and sha256_of(picture) == outcome.sha256

    def _picture(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _record(self, key: str) -> Path:
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


def _read(record: Path) -> dict[str, Any] | None:
    """A record, or None if there is none that is whole."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(told, dict) and told.keys() >= {*_TOLD, "url", "rules"}
    return told if whole else None
