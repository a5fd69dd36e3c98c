"""Whole pictures of 2048x2048 and 4096x4096 through the network of a preset: seconds and memory.

There is no peer: it shows what a machine needs. Random weights; each picture in a process of its
own, encoded and decoded, in float32.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common import ROOT, Ratio
from pdm import params
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.presets import preset_text


@dataclass(frozen=True)
class Size:
    preset: str
    pictures: tuple[tuple[int, int | None], ...]  # side and tile_px


FULL = Size("model-2048x2048", ((2048, None), (2048, 512), (4096, 512)))
QUICK = Size("model-256x256", ((256, None), (512, 128)))


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Peak memory of the process, network included, in GiB (no ratio: beside it the seconds)."""
    path = folder / "params.yaml"
    path.write_text(preset_text(size.preset, None), encoding="utf-8")
    lines = []
    for side, tile_px in size.pictures:
        command = [sys.executable, "-m", __name__, str(path), str(side)]
        words = [*command, str(tile_px or 0)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        how = f"tiles_{tile_px}" if tile_px else "whole"
        lines.append(
            Ratio(
                f"full_{side}_{how}_gib",
                f"encode and decode {side}x{side}, {size.preset}, {how.replace('_', ' of ')}: "
                "peak of the process",
                found["gibibytes"],
                found["seconds"],
                "GiB; s",
                (found["gibibytes"],),
                "at most 16" if side <= 2048 else "",
                f"{found['parameters'] / 1e6:.1f} million parameters, {torch.get_num_threads()} "
                "threads, once.",
            )
        )
    return lines


@torch.no_grad()
def _once(path: Path, side: int, tile_px: int | None) -> None:
    """What runs in the child process."""
    torch.manual_seed(0)
    model = PyramidAutoencoder(params.load(path).autoencoder.model).eval()
    model.to(memory_format=torch.channels_last)
    images = torch.rand(1, 3, side, side) * 2 - 1
    began = time.perf_counter()
    model.decode(model.encode(images, tile_px), (side, side), tile_px)
    seconds = time.perf_counter() - began
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    parameters = sum(weight.numel() for weight in model.parameters())
    print(json.dumps({"gibibytes": peak / 2**20, "seconds": seconds, "parameters": parameters}))


if __name__ == "__main__":
    _once(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) or None)
