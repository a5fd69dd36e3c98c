"""Describes classes and their numbers of pictures in one line."""

from collections.abc import Mapping

MAX_LISTED = 20


def describe_classes(counts: Mapping[str | None, int]) -> str:
    """One line, such as "2 classes: dunes 3, sea 2, 1 without a class"; empty without classes.

    Args:
        counts: Number of pictures by class; None stands for those without one.
    """
    named = sorted((name, count) for name, count in counts.items() if name is not None and count)
    if not named:
        return ""
    listed = [f"{_printable(name)} {count:,}" for name, count in named[:MAX_LISTED]]
    listed += ["..."] if len(named) > MAX_LISTED else []
    listed += [f"{counts[None]:,} without a class"] if counts.get(None) else []
    return f"{len(named):,} class{'es' if len(named) > 1 else ''}: {', '.join(listed)}"


def _printable(name: str) -> str:
    """A name without control characters, which a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
