"""The record of a model folder, `config.json`, read without its weights and without torch."""

import json
from pathlib import Path
from typing import Any

from pdm.errors import BadInput


class ModelRecord(dict[str, Any]):
    """The values of a `config.json`. One that is required and missing is bad input."""

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._folder = folder

    def __missing__(self, name: str) -> Any:
        raise BadInput(
            f"{self._folder}/config.json has no '{name}'; name the folder of a trained model, or, "
            "if the file was changed, copy the folder again"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._folder, dict(self))


def record_of(folder: Path) -> ModelRecord:
    """Read a model folder's `config.json`; "kind" names the model's class. Subscripting a name that
    it lacks raises `BadInput`.

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
    return ModelRecord(folder, record)
