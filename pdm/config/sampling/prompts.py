"""Prompts as people write them for kohya's scripts: a text, then options.

    a red sunset over a lake --n people, boats --l 7.5 --d 3 --s 40 --w 256 --h 128

`--w`, `--h`: width and height in pixels, at most those of a picture of any size; `--d`: seed;
`--s`: steps; `--l`: guidance scale; `--n`: negative prompt.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pdm.config.limits import Count, Limits, NonNegative, Seed, parse_number
from pdm.config.sampling.any_size import MAX_SIDE

_OPTION = re.compile(r"(?:^|\s)--([a-z]+)(?=\s|$)")
_Side = Annotated[int, Limits(at_least=1, at_most=MAX_SIDE)]
_NUMBERS = {"w": _Side, "h": _Side, "d": Seed, "s": Count, "l": NonNegative}
_FIELDS = {"w": "width_px", "h": "height_px", "d": "seed", "s": "steps", "l": "guidance_scale"}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to draw. None: as the section `sample` says."""

    text: str
    negative: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    width_px: int | None = None
    height_px: int | None = None


def parse_prompt(line: str) -> Prompt:
    """Read a prompt with its options.

    Raises:
        ValueError: An option is unknown, is there twice, or its value does not fit.
    """
    text, *rest = _OPTION.split(line)
    values: dict[str, object] = {}
    for name, value in zip(rest[::2], (part.strip() for part in rest[1::2]), strict=True):
        if name != "n" and name not in _NUMBERS:
            options = ", ".join(f"--{each}" for each in (*_NUMBERS, "n"))
            raise ValueError(
                f"{line!r} has the option --{name}; the options of a prompt are {options}"
            )
        field = _FIELDS.get(name, "negative")
        if field in values:
            raise ValueError(f"{line!r} has the option --{name} twice")
        values[field] = value if name == "n" else _number(line, name, value)
    return Prompt(text.strip(), **values)  # type: ignore[arg-type]


def parse_prompts(lines: Iterable[str]) -> tuple[Prompt, ...]:
    """Read a prompt from each line that is neither blank nor a comment (`#`).

    Raises:
        ValueError: One does not fit; the text quotes the line.
    """
    written = (line.strip() for line in lines)
    return tuple(parse_prompt(line) for line in written if line and not line.startswith("#"))


def _number(line: str, name: str, value: str) -> float:
    try:
        return parse_number(value, _NUMBERS[name])
    except ValueError as error:
        raise ValueError(f"{line!r}: --{name}: {error}") from error
