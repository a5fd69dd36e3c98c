"""Lists all keys that a params file may have, from the classes of `pdm.config`."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pdm.config import Params
from pdm.config.limits import Limits, field_types, is_union
from pdm.config.renames import match
from pdm.yaml12 import read_yaml

# In the presets' folder, since presets are differences from it.
DEFAULT = Path(__file__).parents[1] / "presets" / "default.yaml"
MAX_NEAR = 5  # more are no help


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `*` in its name means any item of a list."""

    name: str
    type: str
    limits: str  # empty if there are none
    meaning: str  # also its comment in the default params file


@cache
def all_keys() -> tuple[Key, ...]:
    """List sections and keys in the order of the classes, each mapping before its keys."""
    found: dict[str, Key] = {}
    for key in _keys_of(Params, ""):
        found[key.name] = _both(found[key.name], key) if key.name in found else key
    return tuple(found.values())


def find_key(name: str) -> Key | None:
    """Find the key of a name such as sample.steps or scrape.sources.0.kind."""
    return next((key for key in all_keys() if match(key.name, name) is not None), None)


def in_default(name: str) -> bool:
    """Whether the default params file has the key, so that a file without it can get its value."""
    node: Any = _default_values()
    for part in name.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


@cache
def _default_values() -> Any:
    return read_yaml(DEFAULT.read_text(encoding="utf-8"))


def nearest_keys(name: str) -> list[str]:
    """List known keys that may have been meant by an unknown one; none if no key is near.

    The first of these that exist: keys with the same ending (for `learning_rate`, all learning
    rates), the key that is spelt alike part by part, and keys whose own name is near.
    """
    parts = re.split(r"[.\-\s]+", name.strip().lower())
    known = {key.name: key.name.split(".") for key in all_keys()}
    if ending := [key for key, own in known.items() if own[-len(parts) :] == parts]:
        return ending
    alike = [key for key, own in known.items() if _are_alike(parts, own)]
    if alike and len(parts) > 1:
        return difflib.get_close_matches(name, alike, n=1, cutoff=0.0)
    near = near_names(parts[-1], {own[-1] for own in known.values()}, cutoff=0.75)
    return [key for key, own in known.items() if own[-1] in near][:MAX_NEAR]


def near_names(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """List the names that contain the words of another one, or else the one that is spelt alike."""
    names = sorted(known)
    words = [each for each in names if f"_{name}_" in f"_{each}_"]
    return words or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)


def how_to_find(name: str) -> str:
    """What to do about an unknown key: which may have been meant, or how to list the known ones."""
    if near := nearest_keys(name):
        return f"did you mean {' or '.join(near)}?"
    return how_to_list(name)


def how_to_list(name: str) -> str:
    """Name the command that lists the keys of the section of an unknown key."""
    parts = name.split(".")
    sections = (".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    section = next((section for section in sections if find_key(section)), None)
    if section is None:
        return "`pyramid params show` lists all keys"
    return f"`pyramid params show {section}` lists its keys"


def _are_alike(parts: list[str], own: list[str]) -> bool:
    """Whether each part of a name is spelt nearly as that of a key."""
    return len(parts) == len(own) and all(
        (one == "*" and part.isdecimal()) or difflib.get_close_matches(part, [one])
        for part, one in zip(parts, own, strict=True)
    )


def _both(one: Key, other: Key) -> Key:
    """Merge a key of several kinds of mappings, such as the path of a source."""

    def joined(*texts: str, by: str) -> str:
        return by.join(dict.fromkeys(text for text in texts if text))

    return replace(
        one,
        type=joined(one.type, other.type, by=" | "),
        limits=joined(one.limits, other.limits, by=" | "),
        meaning=joined(one.meaning, other.meaning, by="; "),
    )


def _keys_of(kind: type, prefix: str) -> Iterator[Key]:
    for name, hint in field_types(kind).items():
        inner, extras = _unwrap(hint)
        meaning = next((extra for extra in extras if isinstance(extra, str)), "")
        limits = ", ".join(dict.fromkeys(str(limit) for limit in _limits_in(hint)))
        yield Key(f"{prefix}{name}", _type_name(inner), limits, meaning)
        for below, path in _classes_in(inner, f"{prefix}{name}."):
            yield from _keys_of(below, path)


def _unwrap(hint: Any) -> tuple[Any, list[Any]]:
    """Split a type into the type without `Annotated`, and the extras."""
    extras: list[Any] = []
    while get_origin(hint) is Annotated:
        extras += hint.__metadata__
        hint = hint.__origin__
    return hint, extras


def _classes_in(hint: Any, path: str) -> Iterator[tuple[type, str]]:
    """Yield the dataclasses that a value of this type may be or contain, with their paths."""
    hint, _ = _unwrap(hint)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        yield hint, path
    elif is_union(hint):
        for member in get_args(hint):
            yield from _classes_in(member, path)
    elif get_origin(hint) is tuple:
        for member in get_args(hint):
            yield from _classes_in(member, f"{path}*.")


def _limits_in(hint: Any) -> Iterator[Limits]:
    """Yield the limits of a value or of its items, without those of a mapping's keys."""
    hint, extras = _unwrap(hint)
    yield from (extra for extra in extras if isinstance(extra, Limits))
    if is_union(hint) or get_origin(hint) is tuple:
        for member in get_args(hint):
            yield from _limits_in(member)


def _type_name(hint: Any) -> str:
    """Name a type in plain words."""
    hint, _ = _unwrap(hint)
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    if hint in names:
        return names[hint]
    if hint is types.NoneType:
        return "null"
    if is_dataclass(hint):
        return "mapping"
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) is tuple:
        members = [_type_name(member) for member in get_args(hint) if member is not ...]
        many = get_args(hint)[-1] is ...
        plural = members[0] if members[0].endswith("]") else f"{members[0]}s"
        return f"list of {plural}" if many else f"[{', '.join(members)}]"
    return " | ".join(dict.fromkeys(_type_name(member) for member in get_args(hint)))
