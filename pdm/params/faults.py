"""Turns validation errors of a params file into one line each.

A line names the key, what was expected, what was found and, where possible, what to write.
"""

import dataclasses
import math
import re
import types
from typing import Any, NamedTuple, get_args, get_type_hints

from pydantic import ValidationError

from pdm.config import Params, renames
from pdm.config.fields import classes_by_kind, kinds_of
from pdm.config.file import FileConfig
from pdm.config.limits import as_written
from pdm.config.networks.text import TextEncoderConfig
from pdm.config.stages.scrape import Source
from pdm.config.task import TaskConfig
from pdm.params.keys import how_to_list, in_default, near_names

UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
MISSING = ("missing", "missing_argument")
SIMPLE_TYPES = ("int", "float", "str", "bool")  # what pydantic calls them
# pydantic's words for what a value should be, and those of people who write YAML
PLAIN_WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "a valid array": "a list",
    "an object": "a mapping, as {key: value}",
}


class Fault(NamedTuple):
    """One value that does not fit."""

    loc: tuple[Any, ...]  # names and positions of its key, from the root
    line: str  # key, expectation and value


def describe_faults(error: ValidationError, values: dict[str, Any], upgrade: str) -> list[Fault]:
    """Describe each fault that pydantic found in one line, without repetitions.

    Args:
        error: Pydantic's error.
        values: Values of the whole file.
        upgrade: Command that upgrades the file to this version.
    """
    faults = _relevant(error.errors(), values)
    renamed = {renames.new_key(_dotted(fault)) for fault in faults if fault["type"] in UNKNOWN}
    described = [
        Fault(_place(fault), _of_another_version(fault, upgrade) or _explain(fault, values))
        for fault in faults
        if fault["type"] not in MISSING or _dotted(fault) not in renamed
    ]
    return list(dict.fromkeys(described))


def _place(fault: Any) -> tuple[Any, ...]:
    """The key at fault. Our own checks, which are of a section, name it first."""
    loc: tuple[Any, ...] = fault["loc"]
    if fault["type"] != "value_error":
        return loc
    named = re.match(r"[a-z_0-9.]+", _own_words(fault))
    words = named[0].split(".") if named else []
    return loc + tuple(int(word) if word.isdecimal() else word for word in words)


def _own_words(fault: Any) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _relevant(faults: list[Any], values: dict[str, Any]) -> list[Any]:
    """Keep the faults of the kind that a mapping names, since pydantic tries every kind."""
    kept = []
    for fault in faults:
        for union in (Source, TaskConfig, TextEncoderConfig):
            fault = fault and _of_named_kind(fault, values, union)
        fault = fault and _of_list_or_file(fault, values)
        if fault:
            kept.append(fault)
    return _of_number_or_word(kept)


def _of_named_kind(fault: Any, values: dict[str, Any], union: Any) -> Any:
    """Leave out a fault of another kind of the union than the value names, by giving None; leave
    the name of the class out of the key of others."""
    kinds = {member.__name__: kind for kind, member in classes_by_kind(union).items()}
    place = next((at for at, part in enumerate(fault["loc"]) if part in kinds), None)
    if place is None:
        return fault
    value: Any = values
    for part in fault["loc"][:place]:
        value = value[part]
    named = value.get("kind") if isinstance(value, dict) else None
    if named not in kinds.values():
        return {
            **fault,
            "type": "unknown_kind",
            "loc": (*fault["loc"][:place], "kind"),
            "input": named,
            "msg": f"Input should be one of {', '.join(kinds.values())}",
        }
    if named != kinds[fault["loc"][place]]:
        return None
    return {**fault, "loc": fault["loc"][:place] + fault["loc"][place + 1 :]}


def _of_list_or_file(fault: Any, values: dict[str, Any]) -> Any:
    """Of a key that takes a list or a file, keep the faults of what was written, by giving None for
    others; leave pydantic's name of its type out of the key."""
    loc = fault["loc"]
    of_file = [part == FileConfig.__name__ for part in loc]
    place = next((at for at, part in enumerate(loc) if of_file[at] or _is_tuple(part)), None)
    if place is None:
        return fault
    value: Any = values
    for part in loc[:place]:
        value = value[part]
    if isinstance(value, dict if of_file[place] else list):
        return {**fault, "loc": loc[:place] + loc[place + 1 :]}
    if isinstance(value, dict | list):
        return None
    message = "Input should be a list, a file as {path: ..., sha256: ...}, or null"
    return {**fault, "type": "list_or_file", "loc": loc[:place], "input": value, "msg": message}


def _is_tuple(part: Any) -> bool:
    return str(part).startswith("tuple[")


def _of_number_or_word(faults: list[Any]) -> list[Any]:
    """Make one fault of those of a key that takes a number or a word, such as global. pydantic
    tries both, and adds its names of their types to the key."""

    def names_type(fault: Any) -> bool:
        last = str(fault["loc"][-1]) if fault["loc"] else ""
        return last in SIMPLE_TYPES or last.startswith("literal[")

    joined = []
    for fault in faults:
        if names_type(fault):
            key = fault["loc"][:-1]
            same = [each for each in faults if each["loc"][:-1] == key and names_type(each)]
            expected = dict.fromkeys(_expectation(each) for each in same)
            message = f"Input should be {' or '.join(expected)}"
            fault = {**fault, "type": "number_or_word", "loc": key, "msg": message}
        joined.append(fault)
    return joined


def _expectation(fault: Any) -> str:
    """Say what was expected, in words of people who write YAML."""
    expectation = str(fault["msg"]).removeprefix("Input should be ")
    return PLAIN_WORDS.get(expectation, expectation)


def _of_another_version(fault: Any, upgrade: str) -> str | None:
    """Describe a key or value that an older version had, or did not have yet."""
    key, value = _dotted(fault), fault["input"]
    if fault["type"] in UNKNOWN:
        new, reason = renames.new_key(key), renames.why_removed(key)
        if new is not None:
            return f"{key}: is now called {new}; `{upgrade}` renames it"
        if reason is not None:
            return f"{key}: is no longer a key: {reason}; `{upgrade}` removes it"
    if fault["type"] in MISSING and (in_default(key) or renames.is_added(key)):
        return f"{key}: missing; `{upgrade}` adds it"
    new_value = renames.new_value(key, value)
    if new_value is not None:
        return f"{key}: {value!r} is now called {new_value!r}; `{upgrade}` renames it"
    return None


def _dotted(fault: Any) -> str:
    return ".".join(str(part) for part in fault["loc"])


def _explain(fault: Any, values: dict[str, Any]) -> str:
    """Describe a fault in one line: key, expectation, value, and the nearest known key."""
    loc = fault["loc"]
    key = _dotted(fault) or "params"
    if fault["type"] in UNKNOWN:
        known = _known_keys(loc[:-1], values)
        near = " or ".join(f"'{name}'" for name in near_names(str(loc[-1]), known))
        hint = f"did you mean {near}?" if near else how_to_list(key)
        return f"{key}: unknown key (value {as_written(fault['input'])}); {hint}"
    if fault["type"] in MISSING:
        return f"{key}: missing; add it to the file"
    if fault["type"] == "value_error":  # from our own checks, which name the field
        section = f"{key}." if loc else ""
        return section + _own_words(fault)
    found = f"{as_written(fault['input'])}{_how_to_write(fault)}"
    return f"{key}: expected {_expectation(fault)}, got {found}"


def _how_to_write(fault: Any) -> str:
    """Return advice on YAML syntax, if the value looks like one of the expected type."""
    kind, value = fault["type"], fault["input"]
    if kind in ("float_type", "int_type") and isinstance(value, str) and _is_number(value):
        return "; write it without quotes"
    if kind == "bool_type" and str(value).lower() in ("yes", "no", "on", "off", "true", "false"):
        return "; write true or false, without quotes"
    if kind == "string_type" and isinstance(value, int | float):
        return "; put it in quotes"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _known_keys(loc: tuple[Any, ...], values: dict[str, Any]) -> list[str]:
    """Names of the fields of the section at `loc`."""
    here: Any = Params
    at: Any = values
    for part in loc:
        at = at[part]
        # A number is an index into a tuple[X, ...], a name is a field.
        here = get_args(here)[0] if isinstance(part, int) else get_type_hints(here)[part]
        if isinstance(here, types.UnionType):
            members = [member for member in get_args(here) if dataclasses.is_dataclass(member)]
            kind = at.get("kind") if isinstance(at, dict) else None
            matching = [member for member in members if kind in kinds_of(member)]
            here = (matching or members)[0]
    return [field.name for field in dataclasses.fields(here)]
