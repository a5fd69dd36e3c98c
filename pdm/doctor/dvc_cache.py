"""Check of DVC's cache: whether what the stages write is on the disk once or twice."""

import re
import subprocess
import sys
from pathlib import Path

import psutil

from pdm.doctor.finding import Finding, ok, warning

CACHE = Path(".dvc/cache")
SECONDS_TO_ANSWER = 30.0
# A copy shares its blocks with the original there: DVC's default, "reflink,copy", takes no space.
WITH_REFLINKS = ("btrfs", "xfs", "apfs", "bcachefs", "zfs")
LINKS = ("hardlink", "symlink")
GIB = 2**30


def check_cache(folder: Path = Path()) -> Finding:
    """Say how DVC puts files of its cache into the folder, and what would save space."""
    setting = _setting("cache.type", folder)
    if setting is None:
        return warning("cache", "`dvc config cache.type` did not answer; its links are unknown")
    kinds = re.findall(r"\w+", setting)  # DVC prints it as a Python list
    system = _file_system(folder)
    first = kinds[0] if kinds else "reflink"
    if first in LINKS:
        return ok("cache", f"{first}s: data and models are on the disk once")
    if first == "reflink" and system in WITH_REFLINKS:
        return ok("cache", f"reflinks, if this {system} has them: data and models are stored once")
    text = (
        f"copies: data and models are on the disk twice ({CACHE} has "
        f"{_size(folder / CACHE) / GIB:.1f} GiB); to store them once, as read-only files, use "
        "`dvc config --local cache.type hardlink`, then `dvc checkout --relink`"
    )
    return ok("cache", text)


def _setting(name: str, folder: Path) -> str | None:
    """A setting of DVC, from all its files; empty if it is not set, or without DVC's folder; None
    if DVC does not answer."""
    command = [sys.executable, "-m", "dvc", "config", name]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else ""


def _file_system(folder: Path) -> str:
    """Kind of the file system that the folder is on, such as "ext4"; empty if it is unknown."""
    place = folder.absolute()
    mounted = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((mounted[each] for each in (place, *place.parents) if each in mounted), "")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
