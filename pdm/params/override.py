"""`--set KEY=VALUE`: changes values in a params file, so that DVC and readers see them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from pdm import params
from pdm.config import renames
from pdm.counts import counted
from pdm.errors import BadInput
from pdm.files import write_text
from pdm.params import document
from pdm.params.document import Document
from pdm.params.keys import find_key, how_to_find


def set_values(path: Path, assignments: Sequence[str]) -> list[str]:
    """Write values into a params file; its comments and order stay.

    Args:
        path: The file.
        assignments: KEY=VALUE pairs, such as sample.steps=20 or scrape.sources.0.seed=1. Values are
            YAML: 3e-4, null, [sea, dunes], {kind: unconditional}.

    Returns:
        A line for each changed value.

    Raises:
        BadInput: A key is unknown, or the values do not fit. The file is then unchanged.
    """
    text, changes = override(params.read(path), assignments)
    params.parse(text, path, f"{path} with --set")
    if changes:
        write_text(path, text)
    return changes


def override(text: str, assignments: Sequence[str]) -> tuple[str, list[str]]:
    """Change values in the text of a params file, without checking them."""
    edited = Document(text)
    changes = [line for each in assignments if (line := _assign(edited.root, each))]
    return (edited.text() if changes else text), changes


def _assign(root: CommentedMap, assignment: str) -> str | None:
    key, equals, written = assignment.partition("=")
    if not equals or not written.strip():
        raise BadInput(f"--set {assignment}: expected KEY=VALUE, such as sample.steps=20 or =null")
    _check_key(key)
    value = _parse(assignment, written)
    *parents, last = key.split(".")
    node = _mapping_or_list(root, parents, assignment)
    if isinstance(node, CommentedMap) and last not in node:
        document.insert(node, list(node)[-1] if node else None, last, value)
        return f"{key}: {written}"
    place = _position(node, last, key) if isinstance(node, CommentedSeq) else last
    old = node[place]
    if old == value and isinstance(old, bool) == isinstance(value, bool):
        return None
    document.replace(node, place, value)
    return f"{key}: {document.in_one_line(old)} -> {document.in_one_line(value)}"


def _check_key(key: str) -> None:
    if find_key(key) is not None:
        return
    new, reason = renames.new_key(key), renames.why_removed(key)
    if new is not None:
        raise BadInput(f"--set {key}: is now called {new}")
    if reason is not None:
        raise BadInput(f"--set {key}: is no longer a key: {reason}")
    raise BadInput(f"--set {key}: unknown key; {how_to_find(key)}")


def _parse(assignment: str, written: str) -> Any:
    try:
        return document.parse_value(written)
    except YAMLError:
        raise BadInput(f"--set {assignment}: the value is not valid YAML; quote it") from None


def _mapping_or_list(
    root: CommentedMap, parents: list[str], assignment: str
) -> CommentedMap | CommentedSeq:
    node: Any = root
    for depth, part in enumerate(parents):
        here = ".".join(parents[: depth + 1])
        if isinstance(node, CommentedSeq):
            node = node[_position(node, part, here)]
        else:
            node = node.get(part)
        if not isinstance(node, CommentedMap | CommentedSeq):
            raise BadInput(
                f"--set {assignment}: {here} is {document.in_one_line(node)}; set all of it: "
                f"--set '{here}={{...}}' (`pyramid params show {here}` lists its keys)"
            )
    found: CommentedMap | CommentedSeq = node
    return found


def _position(items: CommentedSeq, part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise BadInput(f"--set {key}: the list has {counted(len(items), 'item')}, counted from 0")
    return int(part)
