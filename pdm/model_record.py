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
        BadInput: The file is missing or damaged, or a size in it is not a number above 0.
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
    for name, (expected, fits) in EXPECTED.items():
        if record.get(name) is not None and not fits(record[name]):
            raise BadInput(
                f"{folder}/config.json has {name} {json.dumps(record[name])}, expected {expected}; "
                "copy the folder again"
            )
    return ModelRecord(folder, record)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_shapes(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(shape, list) and len(shape) == 3 and all(map(_is_count, shape))
        for shape in value
    )


# Values that commands read before a network is built, which checks the others.
EXPECTED = {
    "image_height_px": ("a whole number above 0", _is_count),
    "image_width_px": ("a whole number above 0", _is_count),
    "level_shapes": ("a list of [channels, height, width]", _are_shapes),
}
