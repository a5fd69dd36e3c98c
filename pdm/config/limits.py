"""Types for settings, with their limits; `check_limits` checks a dataclass against them.

A field is declared as `Annotated[Count, "what it means"]`: a type from below, or one with its own
`Limits`, and a line that `pyramid params show` prints. For mypy and pydantic it is a plain int or
float.

Integers also have an upper limit, beyond which a count could only exhaust the machine or overflow
64 bits hours into a run.
"""

import math
import re
import types
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def as_written(value: object) -> str:
    """Format a value as a params file has it: true, null, [1, 2]; text in quotes."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list() | tuple():
            return f"[{', '.join(map(as_written, value))}]"
        case dict():
            pairs = (f"{key}: {as_written(each)}" for key, each in value.items())
            return f"{{{', '.join(pairs)}}}"
    return repr(value)


def require(condition: bool, name: str, value: object, expectation: str) -> None:
    """Raise `ValueError` naming the key, its value and what was expected, unless `condition`."""
    if not condition:
        raise ValueError(f"{name}: expected {expectation}, got {as_written(value)}")


def require_sha256(digest: str) -> None:
    """Raise `ValueError` unless the field `sha256` is a digest as text."""
    require(
        re.fullmatch("[0-9a-f]{64}", digest) is not None,
        "sha256",
        digest,
        "64 digits from 0 to f, as sha256sum prints them",
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """Range of a number. `above` and `below` exclude the limit itself."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def allow(self, value: float) -> bool:
        """Whether the value is in the range."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least:,} to {self.at_most:,}"
        words = ("of at least", self.at_least), ("above", self.above)
        more = ("at most", self.at_most), ("below", self.below)
        return " and ".join(
            f"{word} {limit:,}" for word, limit in (*words, *more) if limit is not None
        )


# Half of the range of signed 64 bits, since sampling adds an image's index and an offset.
Seed = Annotated[int, Limits(at_least=0, at_most=2**62)]
Count = Annotated[int, Limits(at_least=1, at_most=1_000_000)]
CountOrZero = Annotated[int, Limits(at_least=0, at_most=1_000_000)]
Images = Annotated[int, Limits(at_least=1, at_most=10**12)]  # progress of a training
ImagesOrZero = Annotated[int, Limits(at_least=0, at_most=10**12)]
SidePx = Annotated[int, Limits(at_least=1, at_most=65_535)]  # the maximum of JPEG
Width = Annotated[int, Limits(at_least=1, at_most=65_536)]  # channels, or a vector's length
Depth = Annotated[int, Limits(at_least=1, at_most=1_000)]  # layers or blocks of a network
Downsampling = Annotated[int, Limits(at_least=1, at_most=65_536)]

Positive = Annotated[float, Limits(above=0)]
NonNegative = Annotated[float, Limits(at_least=0)]
Fraction = Annotated[float, Limits(at_least=0, at_most=1)]
DropoutRate = Annotated[float, Limits(at_least=0, below=1)]
Seconds = Annotated[float, Limits(above=0, at_most=1_000_000)]  # far below the overflow of clocks
Beta = Annotated[float, Limits(at_least=0, below=1)]  # decay of a running mean per step
EmaLength = Annotated[float, Limits(at_least=0.0001, at_most=0.28)]


def parse_number(text: str, hint: Any) -> float:
    """Read a number of one of the types above, as written on a command line or in a prompt.

    Raises:
        ValueError: It is not a number, not finite, or out of range.
    """
    kind, limits = get_args(hint)
    try:
        number: float = kind(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and limits.allow(number)):
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"expected {what} {limits}, got '{text}'")
    return number


def check_limits(config: Any) -> None:
    """Check each number of a dataclass, also those in tuples, against the limits of its type.

    Raises:
        ValueError: A number is out of range; the text names the field.
    """
    kind: type = type(config)
    for name, hint in field_types(kind).items():
        _check(name, getattr(config, name), hint)


@cache
def field_types(kind: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass, with its `Annotated` extras."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def is_union(hint: Any) -> bool:
    """Whether a type is written `A | B`."""
    return get_origin(hint) in (Union, types.UnionType)


def _check(name: str, value: object, hint: Any) -> None:
    if get_origin(hint) is Annotated:
        inner, *extras = get_args(hint)
        for limits in extras:
            if isinstance(limits, Limits) and isinstance(value, int | float):
                require(limits.allow(value), name, value, f"a number {limits}")
        _check(name, value, inner)
    elif is_union(hint):
        for member in get_args(hint):
            _check(name, value, member)
    elif isinstance(value, tuple):
        members = get_args(hint)
        if members[-1:] == (...,):
            members = members[:1] * len(value)
        for position, (each, member) in enumerate(zip(value, members, strict=False)):
            _check(f"{name}.{position}", each, member)
