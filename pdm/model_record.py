"""The record of a model folder, `config.json`, read without its weights and without torch."""

import json
from pathlib import Path
from typing import Any

from pdm.errors import BadInput


def record_of(folder: Path) -> dict[str, Any]:
    """Read a model folder's `config.json`; "kind" names the model's class.

    Raises:
        BadInput: The file is missing or damaged.
    """
    if not (folder / "config.json").exists():
        raise BadInput(
            f"{folder} has no trained model (config.json is missing); train it, or name another "
            "folder"
        )
    try:
        record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("config.json is not a mapping")
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder} is not a model folder that can be read ({error}); copy it again, or "
            "train it again"
        ) from error
    return record
