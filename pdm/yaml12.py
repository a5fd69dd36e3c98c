"""Reads YAML 1.2, as DVC does, so that both see the same values in a params file.

In YAML 1.1, the version of PyYAML, `1e-3` is text, `yes` is true and `010` is eight. In YAML 1.2
they are a thousandth, text and ten. Here, numbers with an exponent and an integer value, such as
1e5, are integers.
"""

from collections.abc import Hashable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node


class NotYAML(ValueError):
    """The text cannot be read; the message is one line that says where and why."""


def read_yaml(text: str) -> Any:
    """Parse a YAML document into dicts, lists, text, numbers, booleans and None.

    Raises:
        NotYAML: The syntax is wrong, a key appears twice, or a key is not text.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        raise NotYAML(_one_line(error)) from None
    except (YAMLError, ValueError) as error:
        raise NotYAML(" ".join(str(error).split())) from None


class _Constructor(SafeConstructor):
    def construct_mapping(self, node: Node, deep: bool = False) -> dict[Hashable, Any]:
        assert isinstance(node, MappingNode)
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *other
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise NotYAML(f"line {line}: the key {key!r} is not text; put it in quotes")
            if key in seen:
                raise NotYAML(f"line {line}: key '{key}' appears twice; remove one of them")
            seen.add(key)
        values: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return values

    def construct_yaml_float(self, node: Node) -> float:
        value: float = super().construct_yaml_float(node)
        whole = "e" in str(node.value).lower() and abs(value) < 2**63 and value.is_integer()
        return int(value) if whole else value


_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)


def _one_line(error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    words = " ".join(part for part in (error.context, error.problem) if part)
    return place + " ".join(words.split())
