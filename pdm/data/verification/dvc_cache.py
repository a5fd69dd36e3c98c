"""Checks DVC's cache (`.dvc/cache`), or a remote that is a folder, against the names in it.

DVC names each file after its md5, and takes one whose size and time have not changed for intact. So
a bit that rots on the disk stays unnoticed: `dvc checkout` and `dvc pull` deliver the damaged file,
and `dvc status` calls it up to date.
"""

import hashlib
import re
from pathlib import Path

from pdm.data.verification.damage import Findings
from pdm.progress import Progress

OBJECTS = Path("files") / "md5"
_NAME = re.compile(r"([0-9a-f]{30})(\.dir)?")  # after the first two digits, the folder
CURE = "delete it; `dvc repro` makes it again, or `dvc pull` fetches it from an intact remote"


def is_cache(folder: Path) -> bool:
    """Whether the folder is laid out as DVC 3 lays out caches and remotes."""
    return (folder / OBJECTS).is_dir()


def check_cache(folder: Path) -> Findings:
    """Compute the md5 of every file, and compare it with the file's name."""
    findings = Findings()
    files = sorted(file for file in (folder / OBJECTS).glob("??/*") if _NAME.fullmatch(file.name))
    progress = Progress(f"verify {folder}", len(files))
    for file in files:
        with file.open("rb") as stream:
            # Not for security: DVC's names are md5s.
            digest = hashlib.file_digest(stream, _md5).hexdigest()
        if digest != file.parent.name + file.name.removesuffix(".dir"):
            findings.add_object(file, "its md5 is not its name: bytes in it have changed", CURE)
        findings.num_samples += 1
        findings.num_bytes += file.stat().st_size
        progress.advance()
    return findings


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
