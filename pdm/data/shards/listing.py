"""`pictures.txt`: which pictures a folder holds, or a model has seen.

A line for each: its key, the sha256 of the file that it was cut from, and its split, in key order.
The stage `shard` writes it, latents and models carry a copy: whoever has a model can say, without
anything else, whether a picture is in it. It names no URL.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from pdm.errors import BadInput
from pdm.files import whole_file

FILE_NAME = "pictures.txt"


@dataclass(frozen=True, order=True, slots=True)
class Listed:
    """A line."""

    key: str
    sha256: str
    split: str


def write(folder: Path, listed: Iterable[Listed]) -> None:
    """Write the list, sorted."""
    with (
        whole_file(folder / FILE_NAME) as temporary,
        temporary.open("w", encoding="ascii") as file,
    ):
        file.writelines(f"{' '.join(astuple(one))}\n" for one in sorted(listed))


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


def copy(source: Path, folder: Path) -> None:
    """Pass the list on to another folder. Shards that others wrote may have none."""
    if (source / FILE_NAME).is_file():
        shutil.copyfile(source / FILE_NAME, folder / FILE_NAME)
