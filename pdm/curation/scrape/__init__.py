"""The stage `scrape`: fetches the sources' images unchanged, with a row for every URL or file."""

from collections.abc import Collection
from pathlib import Path

from pdm.config.stages.scrape import ScrapeConfig


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
    """Run the stage; see `pdm.curation.scrape.stage.scrape`."""
    # Imported here: the drawing workers import this package without the stage's libraries, which
    # take seconds to load.
    from pdm.curation.scrape import stage

    return stage.scrape(
        config,
        raw=raw,
        cache=cache,
        models=models,
        decisions=decisions,
        retry_failed=retry_failed,
        only_errors=only_errors,
        max_failed_runs=max_failed_runs,
    )
