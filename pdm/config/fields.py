"""What fields of settings share: how strictly they are read, marks that exclude some of them from
what results depend on, and the field `kind`, by which a mapping names its class."""

import dataclasses
import enum
from typing import Any, get_args

from pdm.config.limits import field_types

# Read by pydantic: an unknown key is an error, "6" is not 6, and NaN is not a number.
STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


class Mark(enum.Enum):
    """A property of a field, in its `Annotated`.

    A mark excludes a field from what results depend on, so a missing mark at worst causes
    unnecessary work.
    """

    # An unfinished run resumes from its checkpoint if such a field changes: images, noise and order
    # stay the same, and so do gradients, except for rounding and dropout.
    MAY_CHANGE = "may change while a training runs"
    # A limit for stored scores, which do not depend on it.
    LIMIT_OF_SCORES = "limit of scores"
    # No sample of a given seed depends on it.
    NOT_IN_SAMPLES = "no part in a sample"
    # Scores depend on it, but cached features of real images do not.
    NOT_IN_FEATURES = "no part in features"


MAY_CHANGE = Mark.MAY_CHANGE


@dataclasses.dataclass(frozen=True)
class Neutral:
    """The value of a field that has the effect of versions without the field. With it, a run keeps
    its name."""

    value: Any


def fields_with(kind: type, mark: Mark) -> tuple[str, ...]:
    """Names of a dataclass's fields that carry the mark."""
    hints = field_types(kind).items()
    return tuple(name for name, hint in hints if mark in getattr(hint, "__metadata__", ()))


def fields_without(kind: type, mark: Mark) -> tuple[str, ...]:
    """Names of a dataclass's fields that do not carry the mark, in their order."""
    marked = fields_with(kind, mark)
    return tuple(name for name in field_types(kind) if name not in marked)


def kinds_of(hint: Any) -> tuple[str, ...]:
    """Words that the field `kind` of a class takes; none without such a field."""
    if not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        return ()
    annotated = field_types(hint).get("kind")
    return get_args(get_args(annotated)[0]) if annotated else ()


def classes_by_kind(union: Any) -> dict[str, type[Any]]:
    """The classes of a union, such as that of all tasks, by the word of their field `kind`."""
    return {kind: member for member in get_args(union) for kind in kinds_of(member)}
