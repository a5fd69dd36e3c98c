"""Reads `metrics.json`. Imports nothing heavy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdm.errors import BadInput


def read_scores(path: Path) -> dict[str, float]:
    """Read the numbers of a `metrics.json`, under flat names such as `swd/mean/samples_vs_val`;
    empty if it does not exist.

    Raises:
        BadInput: The file cannot be read.
    """
    if not path.is_file():
        return {}
    return _flat(read_mapping(path))


def read_mapping(path: Path, stage: str = "evaluate") -> dict[str, Any]:
    """Read a JSON file with a mapping, which a stage writes.

    Raises:
        BadInput: The file cannot be read, or is not a mapping.
    """
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path} cannot be read ({error}); run the stage '{stage}' again") from error
    if not isinstance(mapping, dict):
        raise BadInput(f"{path} is not a mapping; run the stage '{stage}' again")
    return mapping


def _flat(value: Any, name: str = "") -> dict[str, float]:
    if isinstance(value, Mapping):
        parts = [
            _flat(below, f"{name}/{key}" if name else str(key)) for key, below in value.items()
        ]
        return {key: number for part in parts for key, number in part.items()}
    return {name: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}
