"""The checkpoint that a model folder is written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdm.training.init_from import Origin


@dataclass(frozen=True, kw_only=True)
class SourceCheckpoint:
    """The checkpoint whose EMA a model folder holds.

    Args:
        run: Folder of its run.
        images_seen: Images seen by the checkpoint.
        origin: What the run started from.
        facts: Further entries of `config.json`, such as the score that it was chosen by.
    """

    run: Path
    images_seen: int
    origin: Origin
    facts: Mapping[str, Any] = field(default_factory=dict)
