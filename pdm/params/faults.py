"""Turns what does not fit in a params file into one line for each fault.

A line names the key, what was expected and what stands there, and where possible what to write.
"""

import dataclasses
import difflib
import types
from typing import Any, get_args, get_type_hints

from pydantic import ValidationError

from pdm.config import Params
from pdm.config.scrape import Source


def describe_faults(error: ValidationError, values: dict[str, Any]) -> list[str]:
    """One line for each fault that pydantic found in the values, without repetitions."""
    lines = [_explain(fault, values) for fault in _relevant(error.errors(), values)]
    return list(dict.fromkeys(lines))


def _relevant(faults: list[Any], values: dict[str, Any]) -> list[Any]:
    """A source is tried as each kind; keep the complaints of the kind that it names."""
    kinds = {kind.__name__: get_args(get_type_hints(kind)["kind"])[0] for kind in get_args(Source)}
    kept = []
    for fault in faults:
        kind = next((part for part in fault["loc"] if part in kinds), None)
        if kind is not None:
            sources = values["scrape"]["sources"]
            source = sources[fault["loc"][2]] if isinstance(fault["loc"][2], int) else None
            named = source.get("kind") if isinstance(source, dict) else None
            if named in kinds.values() and named != kinds[kind]:
                continue
            if named not in kinds.values():
                fault = {
                    **fault,
                    "type": "source_kind",
                    "loc": (*fault["loc"][:3], "kind"),
                    "input": named,
                    "msg": f"Input should be one of {', '.join(kinds.values())}",
                }
            else:
                fault = {**fault, "loc": tuple(part for part in fault["loc"] if part != kind)}
        kept.append(fault)
    return kept


def _explain(fault: Any, values: dict[str, Any]) -> str:
    """One line: the key, what was expected, what was found, and the nearest known key."""
    loc = fault["loc"]
    key = ".".join(str(part) for part in loc) or "params"
    if fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _known_keys(loc[:-1], values)
        close = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.0)
        hint = f"did you mean '{close[0]}'?" if close else "remove it"
        return f"{key}: unknown key (value {fault['input']!r}); {hint}"
    if fault["type"] in ("missing", "missing_argument"):
        return f"{key}: missing; add it to the file"
    if fault["type"] == "value_error":  # raised by our own checks, which name the field themselves
        section = f"{key}." if loc else ""
        return section + str(fault["msg"]).removeprefix("Value error, ")
    expectation = str(fault["msg"]).removeprefix("Input should be ")
    return f"{key}: expected {expectation}, got {fault['input']!r}{_how_to_write(fault)}"


def _how_to_write(fault: Any) -> str:
    """Advice on how YAML wants a value of this type written, where it looks like one."""
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
        float(text)
    except ValueError:
        return False
    return True


def _known_keys(loc: tuple[Any, ...], values: dict[str, Any]) -> list[str]:
    """Names of the fields of the section at `loc`."""
    here: Any = Params
    at: Any = values
    for part in loc:
        at = at[part]
        # A number is a place in a tuple[X, ...], a name is a field.
        here = get_args(here)[0] if isinstance(part, int) else get_type_hints(here)[part]
        if isinstance(here, types.UnionType):
            members = [member for member in get_args(here) if dataclasses.is_dataclass(member)]
            kind = at.get("kind") if isinstance(at, dict) else None
            matching = [m for m in members if kind in get_args(get_type_hints(m).get("kind"))]
            here = (matching or members)[0]
    return [field.name for field in dataclasses.fields(here)]
