"""Captions of pictures: one text, or several that say the same in other words.

A record, such as a sample's `key.json` or a row of the table of decisions, has the first as
`caption`, and all of them as `captions` if there are several. `key.txt` beside it has one per line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

TXT = "txt"  # extension of a sample's captions
FACT = "captioned"  # in manifests: number of pictures with a caption; absent if none has one
SEVERAL = "captions"  # key in a record; absent or null if there is at most one


def captions_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """All captions of a record, in order; empty if it has none."""
    several = record.get(SEVERAL)
    if several:
        return tuple(several)
    first = record.get("caption")
    return (first,) if first else ()


def as_lines(captions: Sequence[str]) -> str:
    """One caption a line, as in `key.txt`. Line breaks inside a caption become spaces."""
    return "".join(f"{' '.join(caption.split())}\n" for caption in captions)
