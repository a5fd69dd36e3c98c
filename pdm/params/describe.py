"""Describes the keys of a params file with their values, for `pyramid params show`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm import params
from pdm.counts import counted
from pdm.errors import BadInput
from pdm.params.document import Document, in_one_line
from pdm.params.keys import Key, all_keys, find_key, how_to_find
from pdm.yaml12 import read_yaml

ABSENT = object()


@dataclass(frozen=True, slots=True)
class Description:
    """One key of a file. `value` is None if the file does not have it."""

    name: str
    value: str | None
    type: str  # with its limits
    meaning: str


def describe(path: Path, name: str | None) -> list[Description]:
    """Describe the keys of a params file, whether or not its values fit.

    Args:
        path: The file.
        name: Section or key to describe, including keys that the file lacks. None for all keys of
            the file.

    Raises:
        BadInput: The file or key does not exist.
    """
    values = Document(params.read(path)).root
    if name is None:
        return [
            _description(key, key.name, values)
            for key in all_keys()
            if "*" not in key.name and _value(values, key.name) is not None
        ]
    known = find_key(name)
    if known is None:
        shown = name or "''"
        raise BadInput(f"{shown}: no such key; {how_to_find(name)}")
    below = [key for key in all_keys() if key.name.startswith(f"{known.name}.")]
    return [
        _description(known, name, values),
        *(_description(key, name + key.name.removeprefix(known.name), values) for key in below),
    ]


def list_changes(path: Path, base: str, name: str | None) -> list[str]:
    """List the values of a params file that differ from those of another text, a line for each,
    such as "sample.steps: 40 -> 20"; "-" stands for a key that one of them lacks.

    Args:
        path: The file.
        base: Text of another params file, such as a preset's.
        name: Section or key to compare; None for all.

    Raises:
        BadInput: The file or key does not exist.
    """
    if name is not None:
        describe(path, name)  # raises if there is no such key
    before, after = (read_yaml(text) for text in (base, params.read(path)))
    parts = name.split(".") if name else []
    pairs = [next(_at(values, parts), ABSENT) for values in (before, after)]
    return list(_changes(pairs[0], pairs[1], parts))


def _changes(before: Any, after: Any, parts: list[str]) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _changes(before.get(key, ABSENT), after.get(key, ABSENT), [*parts, key])
    elif _are_mappings(before) and _are_mappings(after) and len(before) == len(after):
        for place, pair in enumerate(zip(before, after, strict=True)):
            yield from _changes(*pair, [*parts, str(place)])
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        shown = ("-" if value is ABSENT else in_one_line(value) for value in (before, after))
        yield f"{'.'.join(parts)}: {' -> '.join(shown)}"


def _are_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _description(key: Key, name: str, values: Any) -> Description:
    kind = f"{key.type}, {key.limits}" if key.limits else key.type
    return Description(name, _value(values, name), kind, key.meaning)


def _value(values: Any, name: str) -> str | None:
    """Format a value as it may be typed; for `*`, the values in all items of the list."""
    found = [_in_one_line(each) for each in _at(values, name.split("."))]
    return ", ".join(found) if found else None


def _at(values: Any, parts: list[str]) -> Iterator[Any]:
    if not parts:
        yield values
        return
    part, *rest = parts
    if isinstance(values, list):
        places = range(len(values)) if part == "*" else [int(part)] if part.isdecimal() else []
        for place in places:
            yield from _at(values[place], rest) if place < len(values) else ()
    elif isinstance(values, dict) and part in values:
        yield from _at(values[part], rest)


def _in_one_line(value: Any) -> str:
    """Format a value in one line; for a mapping only the number of its keys, which are described
    separately."""
    if isinstance(value, dict):
        return counted(len(value), "key")
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return counted(len(value), "item")
    return in_one_line(value)
