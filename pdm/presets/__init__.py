"""Presets: params files for a kind of data or a size of model, made by `pyramid preset NAME`.

Each `NAME.yaml` beside this module holds only what differs from `default.yaml`, of which the
project's `params.yaml` is a copy to be changed by its user, or from the preset that it `extends`;
its first line says what it is for. What comes out is the default file, or one of the user's, with
these values: its comments and its order stay.
"""

import difflib
import itertools
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from pdm import params
from pdm.config import Params
from pdm.errors import BadInput
from pdm.files import check_output_file, write_text
from pdm.params import document
from pdm.params.document import Document
from pdm.params.keys import DEFAULT
from pdm.params.override import override

FOLDER = Path(__file__).parent


def descriptions() -> dict[str, str]:
    """Each preset's name, and what it is for in a few words."""
    names = sorted(file.stem for file in FOLDER.glob("*.yaml") if file != DEFAULT)
    return {name: _read(name).splitlines()[0].removeprefix("# ") for name in names}


def full_name(name: str) -> str:
    """Of a preset that is named as in `descriptions`, or a model's size alone: 2048x1024, 256.

    Raises:
        BadInput: There is no such preset.
    """
    known = descriptions()
    for candidate in (name, f"model-{name}", f"model-{name}x{name}"):
        if candidate in known:
            return candidate
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise BadInput(f"there is no preset '{name}'; {hint}there are {', '.join(known)}")


def load(name: str, assignments: Sequence[str] = ()) -> Params:
    """The values of a preset, on the default ones.

    Args:
        name: See `full_name`.
        assignments: Each KEY=VALUE, in place of the preset's value.

    Raises:
        BadInput: There is no such preset, or an assignment does not fit.
    """
    text, _ = override(preset_text(name, None), assignments)
    preset = f"{full_name(name)}.yaml"
    return params.parse(text, Path(preset), preset)


def preset_text(name: str, base: Path | None) -> str:
    """The text of a whole params file.

    Args:
        name: See `full_name`.
        base: A params file of the user's, which keeps its sources and all else that the preset
            does not name; None for the default. Its built-in landscapes get maps or boxes if the
            preset's have them.

    Raises:
        BadInput: There is no such preset, or `base` is not a valid params file.
    """
    name = full_name(name)
    default = DEFAULT.read_text(encoding="utf-8")
    text = params.read(base) if base else default
    if base:
        params.parse(text, base)
    merged, default_root = Document(text), Document(default).root
    for changes in _changes(name):
        if base:
            _keep_sources(merged.root, changes)
        document.merge(merged.root, changes, default_root)
    return merged.text()


def write_preset(text: str, path: Path, *, force: bool) -> None:
    """Write a params file.

    Raises:
        BadInput: The file exists already, and is not to be replaced by `force`, or it cannot be
            written.
    """
    check_output_file(path)
    if path.exists() and not force:
        raise BadInput(f"{path} exists; add --force to replace it, or name another file")
    write_text(path, text)


def check_fits(text: str, name: str, output: Path | None) -> None:
    """Check a preset on a user's file once it is written: what that file keeps may not fit it.

    Args:
        text: Of `preset_text`.
        name: Of the preset.
        output: Where the text was written; None for the terminal.

    Raises:
        BadInput: A value does not fit; the text names each.
    """
    where = output or Path("the output")
    try:
        params.parse(text, where)
    except BadInput as error:
        raise BadInput(
            f"{where} is written, but some values that it keeps do not fit {full_name(name)}; "
            f"correct them there:\n{error}"
        ) from None


def _keep_sources(root: CommentedMap, changes: CommentedMap) -> None:
    """Leave the sources out of the changes, but for maps and boxes of built-in landscapes."""
    sources = changes.get("scrape", {}).pop("sources", [])
    wanted = [name for name in ("maps", "boxes") if any(one.get(name) for one in sources)]
    builtin = [one for one in root["scrape"]["sources"] if one["kind"] == "builtin"]
    for source, name in itertools.product(builtin, wanted):
        if name in source:
            document.replace(source, name, True)
        else:
            document.insert(source, list(source)[-1], name, True)


def _changes(name: str) -> list[CommentedMap]:
    """The values of the presets that this one extends, and then its own."""
    changes = Document(_read(name)).root
    extended = changes.pop("extends", None)
    return [*(_changes(extended) if extended else []), changes]


def _read(name: str) -> str:
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
