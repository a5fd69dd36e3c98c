"""The stage `curate`: keeps or drops every image, with a reason, and chooses its crop."""

from pathlib import Path

from pdm.config.stages.curate import CurateConfig


def curate(
    config: CurateConfig, *, raw: Path, decisions: Path, cache: Path | None = None
) -> dict[str, int]:
    """Run the stage; see `pdm.curation.curate.stage.curate`."""
    # Imported here: workers, and processes that decode, import this package without the stage's
    # libraries.
    from pdm.curation.curate import stage

    return stage.curate(config, raw=raw, decisions=decisions, cache=cache)
