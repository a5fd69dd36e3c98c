"""Edits a params file as text: values change, comments and order stay.

ruamel.yaml stores comments with the preceding key: its token has both the comment at the end of its
line and all lines up to the next key. So an edit first removes the latter, the key's *tail*, and
puts it back after the new text.
"""

import copy
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

Node = CommentedMap | CommentedSeq
Key = str | int


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
    old_tail = _take_tail(node, key)
    node[key] = value
    column = node.lc.col or 0
    own = [line for line in _take_tail(node, key).splitlines(True) if _deeper(line, column)]
    rest = [line for line in old_tail.splitlines(True) if not _deeper(line, column)]
    _put_tail(node, key, "".join(own + rest))
    if isinstance(node, CommentedMap):
        _adopt_head(node, key, value)
        _align_comment(node, key)


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
    tail = [] if after is None else _take_tail(node, after).splitlines(True)
    node.insert(position, key, value)
    if node.fa.flow_style():
        return
    column = node.lc.col or 0
    own = [line for line in _take_tail(node, key).splitlines(True) if _deeper(line, column)]
    if comment:
        _set_token(node, key, f"# {comment}\n")
        _align_comment(node, key)
    above, below = _split_tail(tail, before)
    there = {line.strip() for line in above}
    above += [f"{' ' * column}{line}\n" for line in before if line not in there]
    if after is not None:
        _put_tail(node, after, "".join(above))
    _put_tail(node, key, "".join(own + below))


def rename(node: CommentedMap, old: str, new: str) -> None:
    """Rename a key in place."""
    position, comments = list(node).index(old), node.ca.items.pop(old, None)
    value = node.pop(old)
    node.insert(position, new, value)
    if comments is not None:
        node.ca.items[new] = comments
        _align_comment(node, new)


def remove(node: CommentedMap, key: str) -> None:
    """Remove a key, with the comment of its line."""
    keys, tail = list(node), _take_tail(node, key)
    del node[key]
    node.ca.items.pop(key, None)
    if tail and keys[0] != key:
        before = keys[keys.index(key) - 1]
        _put_tail(node, before, _take_tail(node, before) + tail)


def line_comment(node: CommentedMap, key: str) -> str:
    """Return the comment at the end of a key's line, without the `#`."""
    token = (node.ca.items.get(key) or [None] * 4)[2]
    return token.value.partition("\n")[0].lstrip("#").strip() if token else ""


def _split_tail(tail: list[str], before: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a tail into the lines that stay above a new key, and the rest."""
    at = max((at for at, line in enumerate(tail) if line.strip() in {*before} - {""}), default=-1)
    return tail[: at + 1], tail[at + 1 :]


def lines_above(node: CommentedMap, key: str) -> list[str]:
    """Return the lines between a key and the previous one, without indent; "" for an empty line."""
    keys = list(node)
    if keys[0] == key:
        return []
    leaf, last = _last_leaf(node, keys[keys.index(key) - 1])
    token = (leaf.ca.items.get(last) or [None] * 4)[_slot(leaf)]
    lines = token.value.splitlines()[1:] if token else []
    return [line.strip() for line in lines]


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


def _take_tail(node: Node, key: Key) -> str:
    """Remove and return the lines between a value and the next key."""
    node, key = _last_leaf(node, key)
    token = (node.ca.items.get(key) or [None] * 4)[_slot(node)]
    if token is None:
        return ""
    line, newline, tail = token.value.partition("\n")
    token.value = line + newline
    return str(tail)


def _put_tail(node: Node, key: Key, tail: str) -> None:
    if not tail:
        return
    node, key = _last_leaf(node, key)
    token = (node.ca.items.get(key) or [None] * 4)[_slot(node)]
    if token is None:
        _set_token(node, key, "\n" + tail)
    else:
        token.value = token.value.rstrip("\n") + "\n" + tail


def _last_leaf(node: Node, key: Key) -> tuple[Node, Key]:
    """Find the node of a value's last line, which stores the comments after it."""
    value = node[key]
    while isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        node, key = value, (list(value)[-1] if isinstance(value, CommentedMap) else len(value) - 1)
        value = node[key]
    return node, key


def _adopt_head(node: CommentedMap, key: Key, value: Any) -> None:
    """Replace the comments above the first item of a value by the new value's."""
    comments = value.ca.comment if isinstance(value, CommentedMap | CommentedSeq) else None
    head = comments[1] if comments else None
    if head or key in node.ca.items:
        node.ca.items.setdefault(key, [None] * 4)[3] = head


def _align_comment(node: CommentedMap, key: Key) -> None:
    """Align a comment with those of the mapping, if they share a column; otherwise use one
    space."""
    tokens = [slots[2] for slots in node.ca.items.values() if slots[2] is not None]
    token = (node.ca.items.get(key) or [None] * 4)[2]
    columns = [other.start_mark.column for other in tokens if other.value.startswith("#")]
    [(column, count)] = Counter(columns).most_common(1) or [(0, 0)]
    if token is not None:
        token.start_mark = CommentMark(column if count > 1 else 0)


def _slot(node: Node) -> int:
    return 2 if isinstance(node, CommentedMap) else 0


def _set_token(node: Node, key: Key, text: str) -> None:
    slots = node.ca.items.setdefault(key, [None] * 4)
    slots[_slot(node)] = CommentToken(text, CommentMark(0), None)


def _deeper(line: str, column: int) -> bool:
    """Whether a comment line belongs to a value, not to what follows it."""
    return line.strip() != "" and len(line) - len(line.lstrip()) > column


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
