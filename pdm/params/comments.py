"""Comments of a YAML document in ruamel.yaml.

ruamel.yaml stores comments with the preceding key: its token has both the comment at the end of its
line and all lines up to the next key, the key's *tail*.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

Node = CommentedMap | CommentedSeq
Key = str | int


def line_comment(node: CommentedMap, key: str) -> str:
    """Return the comment at the end of a key's line, without the `#`."""
    token = (node.ca.items.get(key) or [None] * 4)[2]
    return token.value.partition("\n")[0].lstrip("#").strip() if token else ""


def lines_above(node: CommentedMap, key: str) -> list[str]:
    """Return the lines between a key and the previous one, without indent; "" for an empty line."""
    keys = list(node)
    if keys[0] == key:
        return []
    leaf, last = _last_leaf(node, keys[keys.index(key) - 1])
    token = (leaf.ca.items.get(last) or [None] * 4)[_slot(leaf)]
    lines = token.value.splitlines()[1:] if token else []
    return [line.strip() for line in lines]


def take_tail(node: Node, key: Key) -> str:
    """Remove and return the lines between a value and the next key."""
    node, key = _last_leaf(node, key)
    token = (node.ca.items.get(key) or [None] * 4)[_slot(node)]
    if token is None:
        return ""
    line, newline, tail = token.value.partition("\n")
    token.value = line + newline
    return str(tail)


def put_tail(node: Node, key: Key, tail: str) -> None:
    """Append lines after a value."""
    if not tail:
        return
    node, key = _last_leaf(node, key)
    token = (node.ca.items.get(key) or [None] * 4)[_slot(node)]
    if token is None:
        set_token(node, key, "\n" + tail)
    else:
        token.value = token.value.rstrip("\n") + "\n" + tail


def split_tail(tail: list[str], before: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a tail into the lines that stay above a new key, and the rest."""
    at = max((at for at, line in enumerate(tail) if line.strip() in {*before} - {""}), default=-1)
    return tail[: at + 1], tail[at + 1 :]


def is_deeper(line: str, column: int) -> bool:
    """Whether a comment line belongs to a value, not to what follows it."""
    return line.strip() != "" and len(line) - len(line.lstrip()) > column


def set_token(node: Node, key: Key, text: str) -> None:
    """Set the comment of a key's line, and the lines after it."""
    slots = node.ca.items.setdefault(key, [None] * 4)
    slots[_slot(node)] = CommentToken(text, CommentMark(0), None)


def align_comment(node: CommentedMap, key: Key) -> None:
    """Align a comment with those of the mapping, if they share a column; otherwise use one
    space."""
    tokens = [slots[2] for slots in node.ca.items.values() if slots[2] is not None]
    token = (node.ca.items.get(key) or [None] * 4)[2]
    columns = [other.start_mark.column for other in tokens if other.value.startswith("#")]
    [(column, count)] = Counter(columns).most_common(1) or [(0, 0)]
    if token is not None:
        token.start_mark = CommentMark(column if count > 1 else 0)


def adopt_head(node: CommentedMap, key: Key, value: Any) -> None:
    """Replace the comments above the first item of a value by the new value's."""
    comments = value.ca.comment if isinstance(value, CommentedMap | CommentedSeq) else None
    head = comments[1] if comments else None
    if head or key in node.ca.items:
        node.ca.items.setdefault(key, [None] * 4)[3] = head


def _last_leaf(node: Node, key: Key) -> tuple[Node, Key]:
    """Find the node of a value's last line, which stores the comments after it."""
    value = node[key]
    while isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        node, key = value, (list(value)[-1] if isinstance(value, CommentedMap) else len(value) - 1)
        value = node[key]
    return node, key


def _slot(node: Node) -> int:
    return 2 if isinstance(node, CommentedMap) else 0
