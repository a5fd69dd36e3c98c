"""Reads `summary.json`, which `scrape` and `curate` write beside their tables."""

import json
from pathlib import Path
from typing import Any

from pdm.errors import BadInput

FILE_NAME = "summary.json"


def read_summary(folder: Path, stage: str) -> dict[str, Any]:
    """Read the summary in the output of a stage.

    Raises:
        BadInput: It is missing or damaged.
    """
    path = folder / FILE_NAME
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(summary, dict):
            raise ValueError("it is not a mapping")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); run `pyramid {stage}` again") from error
    return summary


def read_limits(decisions: Path) -> dict[str, Any]:
    """Read the limits that decisions were made with.

    Raises:
        BadInput: The summary is missing or damaged, or has none.
    """
    limits = read_summary(decisions, "curate").get("limits")
    if not isinstance(limits, dict):
        raise BadInput(f"{decisions / FILE_NAME} has no limits; run `pyramid curate` again")
    return limits
