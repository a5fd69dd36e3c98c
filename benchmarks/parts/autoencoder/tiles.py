"""Decoding in tiles and decoding as a whole: memory, time, and the difference of the pictures.

Ours beside diffusers' own tiling of a KL f8 with about as many parameters. Each run is a process of
its own, so that its peak of memory is its own.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import ROOT, Ratio
from benchmarks.parts.autoencoder.networks import kl_f8, pyramid_like_kl_f8


@dataclasses.dataclass(frozen=True)
class Size:
    side_px: int
    their_side_px: int  # diffusers' whole picture must fit in memory too
    tile_px: int  # ours; diffusers' are of 512
    base_width: int
    rounds: int


FULL = Size(side_px=2048, their_side_px=1024, tile_px=384, base_width=32, rounds=5)
QUICK = Size(side_px=192, their_side_px=64, tile_px=128, base_width=32, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Tiled over whole: of memory, of time (both: less is better), and the largest difference."""
    lines = []
    for prefix, who, side, tile in (
        ("", "ours", size.side_px, size.tile_px),
        ("diffusers_", "diffusers", size.their_side_px, 512),
    ):
        tiles = {"tiled": tile, "whole": 0}
        runs = [
            {way: _run(who, way, side, tiles[way], size.base_width, folder) for way in tiles}
            for _ in range(size.rounds)
        ]
        images = [torch.load(folder / f"{who}-{way}.pt") for way in ("tiled", "whole")]
        difference = float((images[0] - images[1]).abs().max())
        shape = f"decode {side}x{side} in tiles of {tile}, {who}"
        goals = ("at most 0.25", "at most 1.15", "at most 0.001") if who == "ours" else ("", "", "")
        for key, name, unit, goal in (
            ("tiled_memory", "megabytes", "MB", goals[0]),
            ("tiled_time", "seconds", "s", goals[1]),
        ):
            values = [(run["tiled"][name], run["whole"][name]) for run in runs]
            lines.append(
                Ratio(
                    prefix + key,
                    f"{shape}: {name} over those of the whole",
                    sorted(one for one, _ in values)[len(values) // 2],
                    sorted(other for _, other in values)[len(values) // 2],
                    unit,
                    tuple(one / other for one, other in values),
                    goal,
                    "Memory above that of the loaded network, at its peak."
                    if name == "megabytes"
                    else "",
                )
            )
        lines.append(
            Ratio(
                f"{prefix}tiled_max_abs_diff",
                f"{shape}: largest difference from the whole, of pixels in [-1, 1]",
                difference,
                float(images[1].std()),
                "",
                (difference,),
                goals[2],
                "Beside it the standard deviation of the picture, in place of a peer.",
            )
        )
    return lines


def _run(who: str, way: str, side: int, tile: int, base_width: int, folder: Path) -> dict[str, Any]:
    numbers = (str(side), str(tile), str(base_width))
    command = [sys.executable, "-m", __name__, who, *numbers]
    done = subprocess.run(
        [*command, str(folder / f"{who}-{way}.pt")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@torch.no_grad()
def _decode_once() -> None:
    """What runs in the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("who")
    for name in ("side", "tile", "width"):  # a tile of 0: the whole
        parser.add_argument(name, type=int)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.who == "ours":
        model = pyramid_like_kl_f8(args.width)
        latents = tuple(
            torch.randn(1, *shape) for shape in model.level_shapes(args.side, args.side)
        )
        size, tile_px = (args.side, args.side), args.tile or None

        def job() -> torch.Tensor:
            return model.decode(latents, size, tile_px)

    else:
        network = kl_f8(args.width)
        if args.tile:
            network.enable_tiling()
        latent = torch.randn(1, 4, args.side // 8, args.side // 8)

        def job() -> torch.Tensor:
            decoded: torch.Tensor = network.decode(latent).sample
            return decoded

    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, began = status_mb("VmRSS"), time.perf_counter()
    images = job()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "megabytes": status_mb("VmHWM") - before}))
    torch.save(images, args.out)


def status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


if __name__ == "__main__":
    _decode_once()
