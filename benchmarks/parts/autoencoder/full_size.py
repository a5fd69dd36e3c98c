"""Whole pictures of 2048x2048 and 4096x4096 through the network of a preset: seconds and memory.

There is no peer: it shows what a machine needs. Random weights; each picture in a process of its
own, encoded and decoded, in float32.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.shared.child_process import memory_bytes, run_module
from benchmarks.shared.networks import count_parameters, to_channels_last
from benchmarks.shared.ratios import Ratio
from pdm import params
from pdm.presets import preset_text
from pdm.registry import build_autoencoder


@dataclass(frozen=True)
class Size:
    preset: str
    pictures: tuple[tuple[int, int | None], ...]  # side and tile_px


FULL = Size("model-2048x2048", ((2048, None), (2048, 512), (4096, 512)))
QUICK = Size("model-256x256", ((256, None), (512, 128)))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Peak memory of the process, network included, in GiB; and seconds. There is no ratio."""
    path = folder / "params.yaml"
    path.write_text(preset_text(size.preset, None), encoding="utf-8")
    lines = []
    for side, tile_px in size.pictures:
        found = json.loads(run_module(__name__, str(path), str(side), str(tile_px or 0)))
        how = f"tiles_{tile_px}" if tile_px else "whole"
        key = f"full_{side}_{how}"
        what = f"encode and decode {side}x{side}, {size.preset}, {how.replace('_', ' of ')}"
        goal = "at most 16" if side <= 2048 else ""
        millions = found["parameters"] / 1e6
        note = f"{millions:.1f} million parameters, once; threads: {found['threads']}."
        peak, seconds = found["gibibytes"], found["seconds"]
        lines += [
            Ratio(f"{key}_gib", f"{what}: peak memory", peak, None, "GiB", (peak,), goal, note),
            Ratio(f"{key}_seconds", f"{what}: seconds", seconds, None, "s", (seconds,)),
        ]
    return lines


@torch.no_grad()
def _once(path: Path, side: int, tile_px: int | None) -> None:
    """What runs in the child process."""
    torch.manual_seed(0)
    model = to_channels_last(build_autoencoder(params.load(path).autoencoder).eval())
    images = torch.rand(1, 3, side, side) * 2 - 1
    began = time.perf_counter()
    model.decode(model.encode(images, tile_px), (side, side), tile_px)
    seconds = time.perf_counter() - began
    facts = {"parameters": count_parameters(model), "threads": torch.get_num_threads()}
    print(json.dumps(facts | {"gibibytes": memory_bytes("VmHWM") / 2**30, "seconds": seconds}))


if __name__ == "__main__":
    _once(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None)
