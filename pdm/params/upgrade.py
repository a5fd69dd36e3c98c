"""Upgrades an older params file: renames keys and values, and adds new keys.

`pdm.config.renames` lists the renames; new keys come from the default params file, with their
values and comments. Everything else in the user's file stays.
"""

import json
from collections.abc import Iterator
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pdm.config import renames
from pdm.counts import counted
from pdm.params import comments, document
from pdm.params.comments import Node
from pdm.params.document import Document


def upgrade(text: str, default: str) -> tuple[str, list[str]]:
    """Upgrade the text of a params file to this version.

    Args:
        text: Text of the user's file, of any older version.
        default: Text of this version's default file.

    Returns:
        The new text, and a line for each change.
    """
    theirs, ours = Document(text), Document(default)
    changes = [
        *_rename_keys(theirs.root, ours.root),
        *_rename_values(theirs.root),
        *_remove_keys(theirs.root),
        *_add_missing(theirs.root, ours.root, ""),
        *_add_listed(theirs.root),
    ]
    return (theirs.text() if changes else text), changes


def _rename_keys(root: CommentedMap, default: CommentedMap) -> Iterator[str]:
    renamed = True
    while renamed:  # a new name, or keys below it, may be renamed again
        renamed = False
        for node, key, path in list(_places(root)):
            new = renames.new_key(path)
            if new is not None and isinstance(node, CommentedMap):
                yield _move(root, default, node, key, path, new)
                renamed = True
                break


def _move(
    root: CommentedMap, default: CommentedMap, node: CommentedMap, key: str, path: str, new: str
) -> str:
    *parents, last = new.split(".")
    target = _mapping_at(root, default, parents)
    if last in target:
        document.remove(node, key)
        return f"removed {path}, since {new} is there already"
    if target is node:
        document.rename(node, key, last)
    else:
        value = node[key]
        document.remove(node, key)
        _insert(target, _default_of(default, parents), last, value)
    return f"renamed {path} to {new}"


def _mapping_at(root: CommentedMap, default: CommentedMap, parts: list[str]) -> CommentedMap:
    """Return the mapping of a renamed key; create it if it is new, too."""
    node: Any = root
    for depth, part in enumerate(parts):
        if isinstance(node, CommentedSeq):
            node = node[int(part)]
            continue
        if not isinstance(node.get(part), CommentedMap | CommentedSeq):
            node.pop(part, None)
            _insert(node, _default_of(default, parts[:depth]), part, CommentedMap())
        node = node[part]
    assert isinstance(node, CommentedMap)
    return node


def _rename_values(root: CommentedMap) -> Iterator[str]:
    for node, key, path in list(_places(root)):
        old = node[key]
        new = renames.new_value(path, old)
        if new is not None:
            document.replace(node, key, new)
            yield f"changed {path}: {old} is now {new}"


def _remove_keys(root: CommentedMap) -> Iterator[str]:
    for node, key, path in list(_places(root)):
        reason = renames.why_removed(path)
        if reason is not None and isinstance(node, CommentedMap):
            document.remove(node, key)
            yield f"removed {path}: {reason}"


def _add_missing(theirs: CommentedMap, ours: CommentedMap, path: str) -> Iterator[str]:
    for key, value in ours.items():
        there = theirs.get(key)
        if isinstance(there, CommentedMap) and isinstance(value, CommentedMap):
            yield from _add_missing(there, value, f"{path}{key}.")
        elif key not in theirs:
            _insert(theirs, ours, key, value)
            yield f"added {path}{key}: {_brief(value)}"


def _add_listed(root: CommentedMap) -> Iterator[str]:
    """Add new keys of mappings that the default file does not have."""
    for pattern, value in renames.ADDED_KEYS.items():
        parent, _, key = pattern.rpartition(".")
        for node, name, path in list(_places(root)):
            there = node[name]
            found = isinstance(there, CommentedMap) and renames.match(parent, path) is not None
            if found and key not in there:
                last = list(there)[-1] if there else None
                document.insert(there, last, key, document.parse_value(json.dumps(value)))
                yield f"added {path}.{key}: {_brief(value)}"


def _insert(target: CommentedMap, default: CommentedMap | None, key: str, value: Any) -> None:
    """Insert a key where the default file has it, with its comments."""
    if default is None or key not in default:
        document.insert(target, list(target)[-1] if target else None, key, value)
        return
    before = list(default)[: list(default).index(key)]
    document.insert(
        target,
        next((name for name in reversed(before) if name in target), None),
        key,
        value,
        comment=comments.line_comment(default, key),
        before=comments.lines_above(default, key),
    )


def _places(node: Node, path: str = "") -> Iterator[tuple[Node, Any, str]]:
    """Yield every key and item below a node: its container, its name there, its dotted path."""
    pairs = node.items() if isinstance(node, CommentedMap) else enumerate(node)
    for key, value in pairs:
        yield node, key, f"{path}{key}"
        if isinstance(value, CommentedMap | CommentedSeq):
            yield from _places(value, f"{path}{key}.")


def _default_of(default: CommentedMap, parts: list[str]) -> CommentedMap | None:
    node: Any = default
    for part in parts:
        node = node.get(part) if isinstance(node, CommentedMap) else None
    return node if isinstance(node, CommentedMap) else None


def _brief(value: Any) -> str:
    if isinstance(value, CommentedMap):
        return f"all {counted(len(value), 'key')}"
    return document.in_one_line(value)
