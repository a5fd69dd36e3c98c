"""Presets: a whole `params.yaml` for a known kind of data set, made by `pyramid preset NAME`.

Each `NAME.yaml` beside this module holds only what differs from `default.yaml`, the `params.yaml`
that the project comes with; its first line says what it is for. The differences are put into the
text of the file, so that its comments and its order stay.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from pdm import params
from pdm.config import Params
from pdm.errors import BadInput
from pdm.files import write_text
from pdm.params.override import override

FOLDER = Path(__file__).parent
DEFAULT = FOLDER / "default.yaml"
SOURCES = ("scrape", "sources")

Edit = tuple[int, int, str]  # begin and end of a part of the text, and what takes its place


def descriptions() -> dict[str, str]:
    """Each preset's name, and what it is for in a few words."""
    files = sorted(file for file in FOLDER.glob("*.yaml") if file != DEFAULT)
    return {file.stem: file.read_text(encoding="utf-8").splitlines()[0][2:] for file in files}


def full_name(name: str) -> str:
    """Of a preset that is named as in `descriptions`, or a model's size alone: 2048x1024, 256.

    Raises:
        BadInput: There is no such preset.
    """
    known = descriptions()
    for candidate in (name, f"model-{name}", f"model-{name}x{name}"):
        if candidate in known:
            return candidate
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise BadInput(
        f"there is no preset '{name}'; did you mean '{near}'? There are {', '.join(known)}"
    )


def load(name: str, assignments: Sequence[str] = ()) -> Params:
    """The values of a preset, on the default ones.

    Args:
        name: See `full_name`.
        assignments: Each KEY=VALUE, in place of the preset's value.

    Raises:
        BadInput: There is no such preset, or an assignment does not fit.
    """
    text, _ = override(preset_text(name, None), assignments)
    return params.parse(text, Path(f"{full_name(name)}.yaml"))


def preset_text(name: str, base: Path | None) -> str:
    """The text of a whole params file.

    Args:
        name: See `full_name`.
        base: A params file of the user's, which keeps its sources and all else that the preset
            does not name; None for the default.

    Raises:
        BadInput: There is no such preset, or `base` is not a valid params file.
    """
    name = full_name(name)
    if base is not None:
        params.load(base)
    text = (base or DEFAULT).read_text(encoding="utf-8")
    changes = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    kept = () if base is None else SOURCES
    edits = _edits(_root(text), _root(changes), text, changes, kept)
    for begin, end, replacement in sorted(edits, reverse=True):
        text = text[:begin] + replacement + text[end:]
    return text


def write_preset(text: str, path: Path, *, force: bool) -> None:
    """Write a params file.

    Raises:
        BadInput: The file exists already, and is not to be replaced by `force`.
    """
    if path.exists() and not force:
        raise BadInput(f"{path} exists; add --force to replace it, or name another file")
    write_text(path, text)


def _root(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)
    return node


def _edits(
    base: yaml.MappingNode,
    changed: yaml.MappingNode,
    text: str,
    changes: str,
    kept: tuple[str, ...],
) -> Iterator[Edit]:
    """What to put where, so that each value of `changed` stands in `base`; `kept` is a path."""
    places = {key.value: (key, value) for key, value in base.value}
    for key, value in changed.value:
        if kept == (key.value,):
            continue
        old_key, old_value = places[key.value]
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            deeper = kept[1:] if kept[:1] == (key.value,) else ()
            yield from _edits(old_value, value, text, changes, deeper)
        else:
            begin, end = _span(old_key, old_value, text)
            yield begin, end, changes[slice(*_span(key, value, changes))]


def _span(key: yaml.Node, value: yaml.Node, text: str) -> tuple[int, int]:
    """From behind the colon to the end of the value, without what follows on its line."""
    begin = key.end_mark.index + 1
    return begin, begin + len(text[begin : value.end_mark.index].rstrip())
