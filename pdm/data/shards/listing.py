"""`pictures.txt`: the pictures in a folder of shards or latents, or those a model was trained on.

Each line has a picture's key, the sha256 of its source file, and its split; lines are in key order.
The stage `shard` writes the list, and latents and models have a copy, so that a model alone is
enough to tell whether it was trained on a picture. The list has no URLs.

Where the list would be too long, as in MLflow, `pictures.json` replaces it: the digest of the list,
and the number of pictures of each split.
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
    """A line of the list."""

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
        file.writelines(f"{' '.join(astuple(line))}\n" for line in listed)


def read(folder: Path) -> Iterator[Listed]:
    """Yield the lines in order. One line at a time is in memory.

    Raises:
        BadInput: There is no list, or one of its lines is invalid.
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
        raise BadInput(f"{path} does not exist: nothing says which images these are") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} cannot be read ({error})") from error


def write_union(sources: Iterable[Path], folder: Path) -> None:
    """Merge the lists of several folders into one.

    A picture that is in `train` in one list and in `val` in another counts as `train`.

    Raises:
        BadInput: A folder has no list, or one of its lines is invalid.
    """
    merged = heapq.merge(*(read(source) for source in sources))  # "train" comes before "val"
    pictures = groupby(merged, key=lambda line: (line.key, line.sha256))
    _write_lines(folder, (next(lines) for _, lines in pictures))


def copy(source: Path, folder: Path) -> None:
    """Copy the list to another folder, if there is one; shards from other tools may have none."""
    if (source / FILE_NAME).is_file():
        shutil.copyfile(source / FILE_NAME, folder / FILE_NAME)


def summarise(folder: Path) -> dict[str, str | int]:
    """The content of `pictures.json`: `sha256` of the list, `num_train` and `num_val`.

    Raises:
        BadInput: There is no list, or one of its lines is invalid.
    """
    counts = Counter(line.split for line in read(folder))
    numbers = {f"num_{split}": count for split, count in sorted(counts.items())}
    return {"sha256": sha256_of(folder / FILE_NAME), **numbers}


def read_summary(folder: Path) -> dict[str, str | int]:
    """Read `pictures.json`; empty if it is missing or damaged."""
    try:
        summary = json.loads((folder / SUMMARY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def find(folder: Path, elsewhere: Iterable[Path]) -> Path | None:
    """Find the list of a folder's pictures.

    Returns:
        The folder itself if it has a list; else one of `elsewhere` with the list whose digest is in
        the folder's summary; else None.
    """
    if (folder / FILE_NAME).is_file():
        return folder
    digest = read_summary(folder).get("sha256")
    for other in elsewhere:
        if digest and (other / FILE_NAME).is_file() and sha256_of(other / FILE_NAME) == digest:
            return other
    return None
