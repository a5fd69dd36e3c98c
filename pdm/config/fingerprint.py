"""Names of runs: equal for equal settings and inputs."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from pdm.config.fields import MAY_CHANGE, Neutral
from pdm.config.limits import field_types


def fingerprint(config: Any, *inputs: str) -> str:
    """Name a run: equal for equal settings and inputs, different otherwise.

    Checkpoints are stored under this name, so a retried run finds its own, and a run with other
    settings or data never resumes from them. Fields marked `MAY_CHANGE`, at any depth, are left
    out, and so are fields at their `Neutral` value.

    Args:
        config: Section of params (a dataclass).
        inputs: Digests of the run's inputs, such as the sha256 of a manifest.
    """
    named = settings_of_run(config)
    for name, value in neutral_settings(config).items():
        if named.get(name) == value:
            del named[name]
    text = json.dumps([named, *inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def settings_of_run(config: Any) -> dict[str, Any]:
    """Return the settings that determine a run, by dotted name, as JSON values."""
    return {
        name: _as_json(value) for name, value, marks in _leaves(config) if MAY_CHANGE not in marks
    }


def neutral_settings(config: Any) -> dict[str, Any]:
    """Return neutral values by dotted name."""
    return {
        name: _as_json(mark.value)
        for name, _, marks in _leaves(config)
        for mark in marks
        if isinstance(mark, Neutral)
    }


def _leaves(config: Any, above: str = "") -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yield dotted name, value and marks of each field that is not a dataclass itself."""
    kind: type = type(config)
    for name, hint in field_types(kind).items():
        value, marks = getattr(config, name), getattr(hint, "__metadata__", ())
        if dataclasses.is_dataclass(value) and MAY_CHANGE not in marks:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value, marks


def _as_json(value: Any) -> Any:
    """Convert a value: tuples to lists, dataclasses to mappings."""
    if dataclasses.is_dataclass(value):
        return settings_of_run(value)
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value
