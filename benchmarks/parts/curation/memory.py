"""Peak memory of the stage `curate` over few and over ten times as many images.

Each run is a fresh process with its own Ray. What counts is the proportional set size of the whole
tree of processes (driver, Ray's services, workers, decoders), so that shared pages count once,
looked at once a second.
"""

import dataclasses
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.parts.curation.pictures import crops_of, raw_folder, small_pictures
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.child_process import MIB
from benchmarks.shared.ratios import Ratio
from pdm.curation.curate import curate

SECONDS_BETWEEN_LOOKS = 1.0  # a look at all processes takes a tenth of a second
CROP = (128, 64)
PICTURE = (256, 160)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_few: int
    num_many: int


FULL = Size(1_000, 10_000)
QUICK = Size(8, 80)


@dataclass(frozen=True, slots=True)
class Peak:
    """Largest memory seen, in bytes: of all processes together, and of the driver alone."""

    tree: int
    driver: int


def measure(size: Size, folder: Path) -> list[Ratio]:
    pictures = small_pictures(size.num_many, *PICTURE)
    peaks = []
    for number in (size.num_few, size.num_many):
        chosen = dict(list(pictures.items())[:number])
        peaks.append(_peak(raw_folder(folder / str(number), chosen)))
    few, many = peaks
    growth = (many.driver - few.driver) / (size.num_many - size.num_few)
    return [
        Ratio(
            "memory_growth",
            f"peak memory over {size.num_many:,} images, against {size.num_few:,} (less is better)",
            many.tree / MIB,
            few.tree / MIB,
            "MiB",
            (many.tree / few.tree,),
            "about 1",
            f"All processes together, once; the driver alone {few.driver / MIB:.0f} and "
            f"{many.driver / MIB:.0f} MiB, {growth / 1000:.1f} KB more for each image",
        )
    ]


def _peak(raw: Path) -> Peak:
    command = [sys.executable, "-m", __name__, str(raw), str(raw.with_name("decisions"))]
    tree = driver = 0
    with subprocess.Popen(command, cwd=ROOT) as process:
        while process.poll() is None:
            seen = _bytes_by_process(process.pid)
            tree, driver = max(tree, sum(seen.values())), max(driver, seen.get(process.pid, 0))
            time.sleep(SECONDS_BETWEEN_LOOKS)
    assert process.returncode == 0, command
    return Peak(tree, driver)


def _bytes_by_process(pid: int) -> dict[int, int]:
    """Proportional set size of a process and all below it."""
    found: dict[int, int] = {}
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return found
    for process in processes:
        try:
            found[process.pid] = process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it has ended since it was listed, or is ending and shows no memory
    return found


def _judge(raw: Path, decisions: Path) -> None:
    """What the fresh process does."""
    curate(dataclasses.replace(crops_of(*CROP), min_kept=1), raw=raw, decisions=decisions)


if __name__ == "__main__":
    _judge(Path(sys.argv[1]), Path(sys.argv[2]))
