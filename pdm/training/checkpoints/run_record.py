"""Everything that determines a training run, kept as `run.json` in its folder.

The folder is named by a digest of it. So a restarted run finds its checkpoints, and a run with
other settings, data or code never does. The record also says in what a run differs from an earlier
one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pdm.config.fingerprint import fingerprint, settings_of_run
from pdm.files import write_json
from pdm.versions import versions

FILE_NAME = "run.json"
NUM_SHOWN = 4  # differences named in a message
ABSENT = "none"


@dataclass(frozen=True)
class Difference:
    """One setting, or digest of an input, in which two runs differ."""

    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        old, new = (_format_value(value) for value in (self.old, self.new))
        return f"{self.name} ({old} -> {new})"


@dataclass(frozen=True)
class RunRecord:
    """Everything that determines a run.

    Args:
        name: Name of its folder.
        stage: Stage of the pipeline.
        version: Version of what the stage computes (`pdm.versions`).
        settings: Its section of params by dotted names, without the settings that no result depends
            on.
        inputs: sha256 of each input, by name.
    """

    name: str
    stage: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]

    @classmethod
    def of(cls, stage: str, config: Any, inputs: dict[str, str]) -> "RunRecord":
        """Make the record of a run with this section of params and these inputs."""
        version = versions()[stage]
        read = [f"{name} {digest}" for name, digest in sorted(inputs.items())]
        name = fingerprint(config, stage, f"version {version}", *read)
        return cls(name, stage, version, settings_of_run(config), inputs)

    @classmethod
    def load(cls, run: Path) -> "RunRecord | None":
        """Load the record of a run's folder; None if it is missing or damaged."""
        try:
            found = json.loads((run / FILE_NAME).read_text(encoding="utf-8"))
            return cls(name=run.name, **found)
        except (OSError, ValueError, TypeError):
            return None

    def save(self, run: Path) -> None:
        """Write the record to the run's folder."""
        values = {name: value for name, value in asdict(self).items() if name != "name"}
        write_json(run / FILE_NAME, values)

    def differences(self, old: "RunRecord", neutral: Mapping[str, Any]) -> list[Difference]:
        """List the differences from an older run.

        Args:
            old: Record of a run of the same stage.
            neutral: Values from `neutral_settings`, for settings that the older run did not have
                yet.
        """
        mine, theirs = self.settings, {**neutral, **old.settings}
        pairs: list[tuple[str, Any, Any]] = [("version", old.version, self.version)]
        names = {**old.inputs, **self.inputs}
        pairs += [(name, old.inputs.get(name), self.inputs.get(name)) for name in names]
        pairs += [(name, theirs.get(name), mine.get(name)) for name in {**theirs, **mine}]
        return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def format_differences(differences: list[Difference]) -> str:
    """Format differences for the middle of a sentence."""
    named = ", ".join(str(one) for one in differences[:NUM_SHOWN])
    more = len(differences) - NUM_SHOWN
    return f"{named} and {more} more" if more > 0 else named


def _format_value(value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
