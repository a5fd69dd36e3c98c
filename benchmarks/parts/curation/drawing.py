"""Drawing the built-in landscapes, against the code before it was made faster.

That code comes from the repository's history. Each side draws in a process of its own with one
thread, JPEG included; its libraries and its shared textures are loaded before the clock starts.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared.checkout import ROOT, unpack_commit
from benchmarks.shared.ratios import Ratio, compare

BEFORE = "1f7a7fb"  # the last commit with the slower code
_WORK = """
import resource, sys
import cv2
from pdm.curation.scrape.sources.flawed import draw_good

def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

cv2.setNumThreads(1)
count, width_px, height_px = map(int, sys.argv[1:])
draw_good(0, count, width_px, height_px)
began = cpu_seconds()
for index in range(count):
    draw_good(0, index, width_px, height_px)
print(cpu_seconds() - began)
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_images: int
    width_px: int
    height_px: int
    rounds: int


FULL = Size(num_images=13, width_px=2560, height_px=1440, rounds=3)  # one of each kind of land
QUICK = Size(num_images=2, width_px=256, height_px=144, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Images per second of one core."""
    unpack_commit(BEFORE, folder, "pdm")
    rates: dict[Path, list[float]] = {ROOT: [], folder: []}
    for _ in range(size.rounds):
        for code, found in rates.items():
            found.append(size.num_images / _cpu_seconds(code, size))
    ours, before = rates.values()
    note = (
        f"{size.num_images} pictures of {size.width_px}x{size.height_px}, seconds of the processor"
    )
    question = "drawing built-in landscapes, against the code before"
    return [
        compare(
            "drawing_vs_before", question, ours, before, "images/s and core", "at least 4", note
        )
    ]


def _cpu_seconds(code: Path, size: Size) -> float:
    numbers = (str(size.num_images), str(size.width_px), str(size.height_px))
    command = [sys.executable, "-c", _WORK, *numbers]
    done = subprocess.run(command, cwd=code, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)
