"""Reads `params.yaml` strictly: a value that does not fit stops the run before any work."""

import dataclasses
import difflib
import json
import types
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from pdm.config import Params
from pdm.config.scrape import Source
from pdm.errors import BadInput


def load(path: Path = Path("params.yaml")) -> Params:
    """Read, check and return the whole file.

    Raises:
        BadInput: The file is missing or not YAML, a key is unknown, doubled or missing, a type is
            wrong, or a value is impossible. The text names file, key, value and expectation.
    """
    return parse(_text(path), path)


def parse(text: str, path: Path) -> Params:
    """The same of a file's text; `path` is what errors name.

    Raises:
        BadInput: As `load`.
    """
    values = _values(text, path)
    try:
        # As JSON, so that a YAML list may fill a tuple although types are otherwise strict.
        as_json = json.dumps(values, default=str)
    except ValueError:
        raise BadInput(f"{path}: a value holds itself, by an alias (*) of its own anchor") from None
    try:
        return TypeAdapter(Params).validate_json(as_json)
    except ValidationError as error:
        lines = [_explain(fault, values) for fault in _relevant(error.errors(), values)]
        raise BadInput(f"{path}: " + f"\n{path}: ".join(dict.fromkeys(lines))) from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML allows a key twice and keeps the last one, and any value as a key; here both are
    mistakes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise BadInput(f"line {line}: the key {key!r} is no word; put it in quotes")
            if key in seen:
                raise BadInput(f"line {line}: key '{key}' stands twice; remove one of them")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(
            f"{path} does not exist; run this from the project's folder, or name it with --params"
        ) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not valid YAML: {error}; save it as UTF-8") from None


def _values(text: str, path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(text, Loader=_UniqueKeys)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        reason = _merge_conflict(text) or " ".join(str(error).split())
        raise BadInput(f"{path} is not valid YAML: {reason}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def _merge_conflict(text: str) -> str | None:
    """Where git left two versions side by side, if it did: YAML's own complaint hides that."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("<<<<<<<"):
            return f"line {number} begins a merge conflict; choose one of the two versions"
    return None


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
    """Advice for text that looks like a number: to YAML, 1e-3 is text and 1.0e-3 is none."""
    if fault["type"] != "float_type" or not isinstance(fault["input"], str):
        return ""
    try:
        float(fault["input"])
    except ValueError:
        return ""
    return "; write it with a dot and without quotes, such as 1.0e-3 or 1.0e+5"


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
