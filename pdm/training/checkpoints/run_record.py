"""What a training run follows from, kept as `run.json` in its folder.

The folder's name is a digest of it: a run that is started again finds its checkpoints, and one
with other settings, data or code never does. What differs from an earlier run can be named.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pdm.config.common import fingerprint, settings_of_run
from pdm.files import write_json
from pdm.versions import versions

FILE_NAME = "run.json"
NUM_SHOWN = 4  # differences that a sentence names
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
    """All that a run follows from.

    Args:
        name: Of its folder.
        stage: Of the pipeline.
        version: Of what the stage computes (`pdm.versions`).
        settings: Its section of params by dotted names, without what may change.
        inputs: Name and sha256 of what it reads.
    """

    name: str
    stage: str
    version: int
    settings: dict[str, Any]
    inputs: dict[str, str]

    @classmethod
    def of(cls, stage: str, config: Any, inputs: dict[str, str]) -> "RunRecord":
        """The record of the run of this section of params on these inputs."""
        version = versions()[stage]
        read = [f"{name} {digest}" for name, digest in sorted(inputs.items())]
        name = fingerprint(config, stage, f"version {version}", *read)
        return cls(name, stage, version, settings_of_run(config), inputs)

    @classmethod
    def load(cls, run: Path) -> "RunRecord | None":
        """Of a run's folder; None if it has none, or a damaged one."""
        try:
            found = json.loads((run / FILE_NAME).read_text(encoding="utf-8"))
            return cls(name=run.name, **found)
        except (OSError, ValueError, TypeError):
            return None

    def save(self, run: Path) -> None:
        """Write it into the run's folder."""
        values = {name: value for name, value in asdict(self).items() if name != "name"}
        write_json(run / FILE_NAME, values)

    def differences(self, old: "RunRecord", neutral: Mapping[str, Any]) -> list[Difference]:
        """What differs from an older run.

        Args:
            old: Of the same stage.
            neutral: Of `neutral_settings`: what a setting was that the older run did not have yet.
        """
        mine, theirs = self.settings, {**neutral, **old.settings}
        pairs: list[tuple[str, Any, Any]] = [("version", old.version, self.version)]
        names = {**old.inputs, **self.inputs}
        pairs += [(name, old.inputs.get(name), self.inputs.get(name)) for name in names]
        pairs += [(name, theirs.get(name), mine.get(name)) for name in {**theirs, **mine}]
        return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def in_words(differences: list[Difference]) -> str:
    """Some differences as the middle of a sentence."""
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
