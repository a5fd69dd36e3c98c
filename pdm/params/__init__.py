"""Reads `params.yaml` strictly: an invalid value stops the run before any work."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pdm.config import Params
from pdm.errors import BadInput, why
from pdm.params.faults import Fault, describe_faults
from pdm.params.places import Places
from pdm.yaml12 import NotYAML, read_yaml

DEFAULT_PATH = Path("params.yaml")


def load(path: Path = DEFAULT_PATH) -> Params:
    """Read, check and return the whole file.

    Raises:
        BadInput: The file is missing or not YAML, a key is unknown, doubled or missing, a type is
            wrong, or a value is impossible. The text names file, line, key, value and expectation;
            the line of a missing key is that of its section.
    """
    return parse(_text(path), path)


def parse(text: str, path: Path, name: str = "") -> Params:
    """Parse and check a file's text. Errors call it by its path and the line, or, if the text is
    not that of a file, by `name`.

    Raises:
        BadInput: As `load`.
    """
    values = _values(text, path)
    try:
        # As JSON, so that a YAML list may fill a tuple although types are otherwise strict.
        as_json = json.dumps(values, default=str)
    except ValueError:
        raise BadInput(
            f"{name or path}: a value contains itself, by an alias (*) of its own anchor"
        ) from None
    try:
        return TypeAdapter(Params).validate_json(as_json)
    except ValidationError as error:
        faults, places = describe_faults(error, values, upgrade_command(path)), Places(text)
        lines = [f"{name or _place(path, places, fault)}: {fault.line}" for fault in faults]
        raise BadInput("\n".join(lines)) from None


def read(path: Path) -> str:
    """Read the file's text, and check that it is YAML.

    Raises:
        BadInput: The file is missing or not YAML, or a key is doubled.
    """
    text = _text(path)
    _values(text, path)
    return text


def upgrade_command(path: Path) -> str:
    """Return the command that upgrades this file to this version."""
    return "pyramid params upgrade" + ("" if path == DEFAULT_PATH else f" --params {path}")


def _place(path: Path, places: Places, fault: Fault) -> str:
    """Such as params.yaml:12, which editors and terminals make a link."""
    line = places.line_of(fault.loc)
    return f"{path}:{line}" if line else str(path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "; run this from the project's folder, or name it with --params"
        found = hint if path.name == DEFAULT_PATH.name else ""
        raise BadInput(f"{path} does not exist{found}") from None
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({why(error)}); name a params file with --params"
        ) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not valid YAML: {error}; save it as UTF-8") from None


def _values(text: str, path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(text)
    except NotYAML as error:
        raise BadInput(f"{path} is not valid YAML: {_merge_conflict(text) or error}") from None
    if values is None:
        raise BadInput(
            f"{path} has no values; restore it, or write one with `pyramid preset NAME --output "
            f"{path} --force`"
        )
    if not isinstance(values, dict):
        raise BadInput(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def _merge_conflict(text: str) -> str | None:
    """Find the line of a git merge conflict, if there is one, since YAML's own error hides it."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("<<<<<<<"):
            return f"line {number} starts a merge conflict; choose one of the two versions"
    return None
