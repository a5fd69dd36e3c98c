"""`pictures.txt`: which pictures a folder holds, or a model has seen.

A line for each: its key, the sha256 of the file that it was cut from, and its split, in key order.
The stage `shard` writes it, latents and models carry a copy: whoever has a model can say, without
anything else, whether a picture is in it. It names no URL.

`pictures.json` stands for it where the list would be too long, as in MLflow: its digest, and how
many pictures of each split it has.
"""

import heapq
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path

from pdm.errors import BadInput
from pdm.files import atomic_file, sha256_of

FILE_NAME, SUMMARY_NAME = "pictures.txt", "pictures.json"


@dataclass(frozen=True, order=True, slots=True)
class Listed:
    """A line."""

    key: str
    sha256: str
    split: str


def write(folder: Path, listed: Iterable[Listed]) -> None:
    """Write the list, sorted."""
    _write_lines(folder, sorted(listed))


def _write_lines(folder: Path, listed: Iterable[Listed]) -> None:
    with (
        atomic_file(folder / FILE_NAME) as temporary,
        temporary.open("w", encoding="ascii") as file,
    ):
        file.writelines(f"{' '.join(astuple(one))}\n" for one in listed)


def read(folder: Path) -> Iterator[Listed]:
    """The lines in order; all of them never stand in memory.

    Raises:
        BadInput: There is no list, or a line of it is none.
    """
    path = folder / FILE_NAME
    try:
        with path.open(encoding="ascii") as file:
            for number, line in enumerate(file, 1):
                parts = line.split()
                if len(parts) != 3 or not line.endswith("\n"):
                    raise BadInput(f"{path}, line {number}, is not a key, a sha256 and a split")
                yield Listed(*parts)
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist: nothing says which pictures these are") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} cannot be read ({error})") from error


def write_union(sources: Iterable[Path], folder: Path) -> None:
    """Write one list of all pictures that several folders list.

    A picture that one of them has in `train` and another in `val` is one of `train`.

    Raises:
        BadInput: A folder has no list, or a line of it is none.
    """
    merged = heapq.merge(*(read(source) for source in sources))  # "train" comes before "val"
    pictures = groupby(merged, key=lambda one: (one.key, one.sha256))
    _write_lines(folder, (next(lines) for _, lines in pictures))


def copy(source: Path, folder: Path) -> None:
    """Pass the list on to another folder. Shards that others wrote may have none."""
    if (source / FILE_NAME).is_file():
        shutil.copyfile(source / FILE_NAME, folder / FILE_NAME)


def summarise(folder: Path) -> dict[str, str | int]:
    """What `pictures.json` holds: `sha256` of the list, and `num_train`, `num_val`.

    Raises:
        BadInput: There is no list, or a line of it is none.
    """
    counts = Counter(one.split for one in read(folder))
    numbers = {f"num_{split}": count for split, count in sorted(counts.items())}
    return {"sha256": sha256_of(folder / FILE_NAME), **numbers}


def read_summary(folder: Path) -> dict[str, str | int]:
    """The content of `pictures.json`; empty if there is none that can be read."""
    try:
        found = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def find(folder: Path, elsewhere: Iterable[Path]) -> Path | None:
    """The folder whose list is that of `folder`: itself, or one with the list that its summary
    names by digest; None if there is none."""
    if (folder / FILE_NAME).is_file():
        return folder
    wanted = read_summary(folder).get("sha256")
    for other in elsewhere:
        if wanted and (other / FILE_NAME).is_file() and sha256_of(other / FILE_NAME) == wanted:
            return other
    return None
