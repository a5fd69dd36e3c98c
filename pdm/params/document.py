"""Edits a params file as text: values change, comments and order stay.

ruamel.yaml stores the lines between two keys with the first of them (`comments`). So an edit first
removes this tail, and puts it back after the new text.
"""

import copy
import io
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from pdm.params.comments import (
    Key,
    Node,
    adopt_head,
    align_comment,
    is_deeper,
    put_tail,
    set_token,
    split_tail,
    take_tail,
)


class Document:
    """A YAML file with its comments.

    Attributes:
        root: The values. Change them by the functions of this module.
    """

    def __init__(self, text: str) -> None:
        self._yaml = _round_trip()
        self.root: CommentedMap = self._yaml.load(text)
        self._yaml.indent(**_indentation(self.root))

    def text(self) -> str:
        """Return the text of the file."""
        stream = io.StringIO()
        self._yaml.dump(self.root, stream)
        return stream.getvalue()


def parse_value(text: str) -> Any:
    """Parse a value as written in a params file, keeping its style."""
    return _round_trip().load(text)


def in_one_line(value: Any) -> str:
    """Format a value in one line, without comments."""
    stream = io.StringIO()
    _round_trip().dump(_without_comments(value), stream)
    return " ".join(stream.getvalue().removesuffix("...\n").split())


def replace(node: Node, key: Key, value: Any) -> None:
    """Replace a value. The comment of the line stays, those inside the old value are removed."""
    old_tail = take_tail(node, key)
    node[key] = value
    column = node.lc.col or 0
    own = [line for line in take_tail(node, key).splitlines(True) if is_deeper(line, column)]
    rest = [line for line in old_tail.splitlines(True) if not is_deeper(line, column)]
    put_tail(node, key, "".join(own + rest))
    if isinstance(node, CommentedMap):
        adopt_head(node, key, value)
        align_comment(node, key)


def merge(node: CommentedMap, changes: CommentedMap, default: CommentedMap) -> None:
    """Merge the values of a smaller file into a larger one.

    Mappings are merged; one that is null is first set to the default's. All other values of the
    smaller file replace the existing ones.
    """
    for key, value in changes.items():
        if isinstance(value, CommentedMap) and not value.fa.flow_style():
            whole = default.get(key)
            if node[key] is None:
                replace(node, key, copy.deepcopy(whole))
            merge(node[key], value, whole)
        elif key in node:
            replace(node, key, value)
        else:
            insert(node, list(node)[-1] if node else None, key, value)


def insert(
    node: CommentedMap,
    after: str | None,
    key: str,
    value: Any,
    *,
    comment: str = "",
    before: Sequence[str] = (),
) -> None:
    """Add a key after another one, or as the first.

    Args:
        node: Mapping to add it to.
        after: Key before the new one; None to add it first.
        key: Key to add.
        value: Its value.
        comment: The comment at the end of its line, without the `#`.
        before: Lines of comment above it; lines that are already there are not repeated.
    """
    position = 0 if after is None else list(node).index(after) + 1
    tail = [] if after is None else take_tail(node, after).splitlines(True)
    node.insert(position, key, value)
    if node.fa.flow_style():
        return
    column = node.lc.col or 0
    own = [line for line in take_tail(node, key).splitlines(True) if is_deeper(line, column)]
    if comment:
        set_token(node, key, f"# {comment}\n")
        align_comment(node, key)
    above, below = split_tail(tail, before)
    there = {line.strip() for line in above}
    above += [f"{' ' * column}{line}\n" for line in before if line not in there]
    if after is not None:
        put_tail(node, after, "".join(above))
    put_tail(node, key, "".join(own + below))


def rename(node: CommentedMap, old: str, new: str) -> None:
    """Rename a key in place."""
    position, comments = list(node).index(old), node.ca.items.pop(old, None)
    value = node.pop(old)
    node.insert(position, new, value)
    if comments is not None:
        node.ca.items[new] = comments
        align_comment(node, new)


def remove(node: CommentedMap, key: str) -> None:
    """Remove a key, with the comment of its line."""
    keys, tail = list(node), take_tail(node, key)
    del node[key]
    node.ca.items.pop(key, None)
    if tail and keys[0] != key:
        before = keys[keys.index(key) - 1]
        put_tail(node, before, take_tail(node, before) + tail)


def _without_comments(value: Any) -> Any:
    """Copy the values without comments, to be written with braces and brackets."""
    if not isinstance(value, dict | list):
        return value
    if isinstance(value, dict):
        copied: Node = CommentedMap((key, _without_comments(each)) for key, each in value.items())
    else:
        copied = CommentedSeq(_without_comments(each) for each in value)
    copied.fa.set_flow_style()
    return copied


def _indentation(root: CommentedMap) -> dict[str, int]:
    """Detect the file's indentation, since ruamel would write its own."""
    sections = [value for value in root.values() if isinstance(value, CommentedMap) and value]
    mapping = sections[0].lc.col if sections else 2
    for section in sections:
        for key, value in section.items():
            if isinstance(value, CommentedSeq) and value and not value.fa.flow_style():
                column = section.lc.key(key)[1]
                item, dash = value.lc.item(0)[1] - column, value.lc.col - column
                return {"mapping": mapping, "sequence": item, "offset": dash}
    return {"mapping": mapping, "sequence": mapping + 2, "offset": mapping}


def _round_trip() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.width = 4096  # never break a line
    yaml.representer.add_representer(type(None), _write_null)
    return yaml


def _write_null(representer: Any, value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
