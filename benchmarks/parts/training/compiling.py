"""How long `training.compile` takes for the UNet for 2048x2048.

Each kind of block is compiled as in a training (bfloat16, channels_last), one after another, for
one picture, on the CPU; a network of all blocks would not fit into the memory of a small machine.
"""

import os
from pathlib import Path

# In this process, so that its seconds count.
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import torch

from benchmarks.parts.training.compiled_launches import FULL, QUICK, Kind, Size, kinds_of_blocks
from benchmarks.parts.training.launches import Step
from benchmarks.shared.ratios import Ratio
from benchmarks.shared.timing import Seconds, timed

__all__ = ["FULL", "QUICK", "measure"]


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Time to compile."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)  # nothing is compiled already
    kinds, _ = kinds_of_blocks(Step(size.preset))
    seconds = Seconds(0.0, 0.0)
    for kind in kinds:
        found = _compile(kind)
        seconds = Seconds(seconds.wall + found.wall, seconds.cpu + found.cpu)
    return [
        Ratio(
            "compile_seconds",
            "processor seconds to compile the UNet",
            seconds.cpu,
            None,
            "s",
            (seconds.cpu,),
            "at most 360: three minutes of two cores",
            f"{sum(kinds.values())} blocks of {len(kinds)} kinds, one after another, each with its "
            f"first pass; {seconds.wall:.0f} s by the clock. torch compiles on all cores.",
        )
    ]


def _compile(kind: Kind) -> Seconds:
    """Compile a block, and run it once."""
    block, inputs = kind.prepare()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            output = block(*inputs)
        output.float().square().mean().backward()

    seconds = timed(run)
    block.to("meta")
    return seconds
