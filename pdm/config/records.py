"""Reads settings from JSON, such as a model's `config.json`, into their classes.

A record was written by `dataclasses.asdict`, possibly by an older version of the project. This
module imports only the standard library, so that any machine can load a model.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pdm.config import renames
from pdm.config.fields import Neutral, kinds_of
from pdm.config.limits import field_types, is_union

T = TypeVar("T")


def from_record(kind: type[T], record: Mapping[str, Any], section: str) -> T:
    """Restore a dataclass of settings from its record.

    Args:
        kind: Class to restore.
        record: Its fields, as written by `asdict`.
        section: Its dotted path in a params file, such as diffusion.model, by which renamed
            settings are found.

    Raises:
        TypeError: A field is missing or unknown.
        ValueError: A value does not fit the class.
    """
    cls: type = kind
    hints, values = field_types(cls), {}
    for name, value in record.items():
        key = renames.new_key(f"{section}.{name}") or f"{section}.{name}"
        new_name, new_value = key.rpartition(".")[2], renames.new_value(key, value)
        value = value if new_value is None else new_value
        values[new_name] = _value(hints.get(new_name, Any), value, key)
    return kind(**(_neutral_values(hints) | values))


def _neutral_values(hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of fields that older records do not have."""
    return {
        name: mark.value
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, Neutral)
    }


def _value(hint: Any, value: Any, key: str) -> Any:
    if get_origin(hint) is Annotated:
        return _value(hint.__origin__, value, key)
    if is_union(hint):
        choices = [each for each in get_args(hint) if each is not NoneType]
        if isinstance(value, Mapping) and "kind" in value:
            choices = [each for each in choices if _may_be_of_kind(each, value["kind"])]
        # If there are two, as in `int | Literal["global"]`, none of them is a list or a mapping.
        return _value(choices[0], value, key) if len(choices) == 1 else value
    if isinstance(value, list):
        members = get_args(hint)
        if members and members[-1] is ...:
            members = members[:1] * len(value)
        pairs = zip(members, value, strict=True)
        return tuple(_value(member, each, f"{key}.{at}") for at, (member, each) in enumerate(pairs))
    if isinstance(value, Mapping) and is_dataclass(hint):
        assert isinstance(hint, type)
        return from_record(hint, value, key)
    return value


def _may_be_of_kind(hint: Any, kind: object) -> bool:
    """Whether a type, one of several in a union, is a class with this `kind`, or without kinds."""
    return is_dataclass(hint) and kind in (kinds_of(hint) or (kind,))
