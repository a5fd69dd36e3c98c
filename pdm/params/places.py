"""Finds the line of a params file that a key stands on."""

from collections.abc import Sequence

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode


class Places:
    """The lines of a file's keys.

    Args:
        text: Of a valid YAML file.
    """

    def __init__(self, text: str) -> None:
        self._root: Node = YAML(typ="safe", pure=True).compose(text)

    def line_of(self, loc: Sequence[str | int]) -> int | None:
        """Find the line of a key, or of the nearest section above it that the file has.

        Args:
            loc: Names of the mappings' keys, and positions in lists, from the root.

        Returns:
            The line's number, from 1; None if not even the first name is there.
        """
        node, line = self._root, None
        for part in loc:
            found = _below(node, part)
            if found is None:
                break
            place, node = found
            line = place.start_mark.line + 1
        return line


def _below(node: Node, part: str | int) -> tuple[Node, Node] | None:
    """The node that stands for a key or an item, and that of its value."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key, value
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
