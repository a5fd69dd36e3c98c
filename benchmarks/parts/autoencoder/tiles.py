"""Decoding in tiles and decoding as a whole: memory, time, and the difference of the pictures.

Ours beside diffusers' own tiling of a KL f8 with about as many parameters. Each run is a process of
its own, so that its peak of memory is its own.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch

from benchmarks.parts.autoencoder.networks import kl_f8, pyramid_like_kl_f8
from benchmarks.shared.child_process import MIB, memory_bytes, reset_peak, run_module
from benchmarks.shared.ratios import Ratio, compare


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
            ("tiled_memory", "mebibytes", "MiB", goals[0]),
            ("tiled_time", "seconds", "s", goals[1]),
        ):
            tiled, whole = ([run[way][name] for run in runs] for way in tiles)
            note = "Memory above that of the loaded network, at its peak." if unit == "MiB" else ""
            question = f"{shape}: {name} over those of the whole"
            lines.append(compare(prefix + key, question, tiled, whole, unit, goal, note))
        lines.append(
            Ratio(
                f"{prefix}tiled_max_abs_diff",
                f"{shape}: largest difference from the whole, of pixels in [-1, 1]",
                difference,
                None,
                "",
                (difference,),
                goals[2],
                f"The picture has a standard deviation of {float(images[1].std()):.3g}.",
            )
        )
    return lines


def _run(
    who: str, way: str, side: int, tile: int, base_width: int, folder: Path
) -> dict[str, float]:
    numbers = (str(side), str(tile), str(base_width))
    line = run_module(__name__, who, *numbers, str(folder / f"{who}-{way}.pt"))
    found: dict[str, float] = json.loads(line)
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

    reset_peak()
    before, began = memory_bytes("VmRSS"), time.perf_counter()
    images = job()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mebibytes": (memory_bytes("VmHWM") - before) / MIB}))
    torch.save(images, args.out)


if __name__ == "__main__":
    _decode_once()
