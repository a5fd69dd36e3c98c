"""Peak memory of drawing in tiles as the picture grows, and of drawing untiled.

Each run is a process of its own, so that its peak is its own. The peak is that of the whole
process, with the libraries and the models. Every step is taken; of the decoded picture the first
bands are enough, since a band needs no more memory than the one before.
"""

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parts.any_size.networks import TILE_PX, small_ldm
from benchmarks.shared.child_process import MIB, memory_bytes, run_module
from benchmarks.shared.ratios import Ratio
from pdm.config.sampling.tiling import TilingConfig
from pdm.inference.any_size.tiled.enlarge import enlarge

STEPS = 2  # so that the second has the step before in memory
BANDS = 3


@dataclass(frozen=True)
class Size:
    untiled_px: int
    grown: int  # times the trained side
    candidates: tuple[int, ...]  # times the trained side, rising


FULL = Size(1024, 8, (18, 32, 36))
QUICK = Size(128, 2, (2,))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Run the child processes one after another."""
    one, many = (_peak("tiled", times * TILE_PX) for times in (1, size.grown))
    untiled = _peak("untiled", size.untiled_px)
    largest, peaks = 0, {}
    for times in size.candidates:
        peaks[times] = _peak("tiled", times * TILE_PX)["peak"]
        if peaks[times] > untiled["peak"]:
            break
        largest = times * TILE_PX
    listed = ", ".join(f"{times * TILE_PX}: {peak:.0f} MiB" for times, peak in peaks.items())
    ratio = largest / size.untiled_px
    return [
        Ratio(
            "memory_growth",
            f"peak memory at {size.grown} times the trained side ({size.grown * TILE_PX}), over "
            f"that at the trained side ({TILE_PX})",
            many["peak"],
            one["peak"],
            "MiB",
            (many["peak"] / one["peak"],),
            "at most 1.15",
            f"Of the whole process; before drawing it has {one['before']:.0f} MiB. "
            f"A picture of {size.grown * TILE_PX} pixels a side in bytes alone has "
            f"{3 * (size.grown * TILE_PX) ** 2 / 2**20:.0f} MiB.",
        ),
        Ratio(
            "size_at_equal_memory",
            f"largest side drawn with the peak of one untiled drawing of {size.untiled_px} pixels "
            "a side, over that side",
            largest,
            size.untiled_px,
            "px",
            (ratio,),
            "at least 16",
            f"Untiled {untiled['peak']:.0f} MiB; sides tried: {listed}.",
        ),
    ]


def _peak(way: str, side: int) -> dict[str, float]:
    """Memory of a process in MiB: before it draws, and at its peak."""
    found: dict[str, float] = json.loads(run_module(__name__, way, str(side)))
    return found


@torch.no_grad()
def _draw_once() -> None:
    """What runs in the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=("tiled", "untiled"))
    parser.add_argument("side", type=int)
    args = parser.parse_args()
    models = small_ldm(STEPS)
    before = memory_bytes("VmRSS")
    if args.way == "untiled":
        [picture] = models.draw([0], (args.side, args.side))
        assert picture.shape == (args.side, args.side, 3)
    else:
        shape = (args.side // 2, args.side // 2, 3)
        small: Any = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        tiling = TilingConfig(tiles_at_once=1)
        bands = enlarge(models, small, 2, tiling=tiling, strength=1.0)
        assert all(band.shape[1] == args.side for band in itertools.islice(bands, BANDS))
    print(json.dumps({"before": before / MIB, "peak": memory_bytes("VmHWM") / MIB}))


if __name__ == "__main__":
    _draw_once()
