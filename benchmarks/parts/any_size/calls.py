"""Calls of the network in a step, counted in sampling, and time against explicit overlap."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.parts.any_size.networks import CELL_PX, TILE_PX, small_ldm
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, timed
from pdm.config.sampling.tiling import Mode, TilingConfig
from pdm.diffusion.samplers import Point, multistep_step
from pdm.diffusion.sampling_times import even_times
from pdm.diffusion.tiles.layout import Tile, TileLayout
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Pyramid

STEPS = 4  # to the second with an offset of zero
TILE = TILE_PX // CELL_PX


@dataclass(frozen=True)
class Size:
    sides_px: tuple[int, ...]
    timed_px: int
    rounds: int


FULL = Size((1024, 2048, 4096), 2048, 1)
QUICK = Size((1024,), 1024, 1)
PUBLISHED = {1024: 4, 2048: 16, 4096: 64}


@torch.no_grad()
def measure(size: Size, folder: Path) -> list[Ratio]:
    """Sample latents of random noise in modes `fstd` and `mixture`."""
    network = small_ldm(STEPS).networks.network
    lines = []
    for side in size.sides_px:
        ours = _calls(network, side, "fstd")
        lines.append(
            Ratio(
                f"calls_{side}",
                f"calls of the network a step at {side}x{side}, tiles of 64 cells",
                ours,
                len(TileLayout(TilingConfig(mode="mixture"), *_sizes(side)).grid(0).tiles),
                "calls",
                (ours,),
                f"{PUBLISHED[side]}",
                f"Counted in {STEPS} steps of sampling, equal in each; the ratio is the count "
                "itself. Beside it explicit overlap of 32 cells.",
            )
        )
    side = size.timed_px
    modes: tuple[Mode, ...] = ("fstd", "mixture", "none", "multidiffusion", "spot")
    sides = (partial(timed, partial(_calls, network, side, mode)) for mode in modes)
    runs = interleaved(size.rounds, *sides)
    fstd, explicit = ([one.cpu for one in each] for each in runs[:2])
    note = ", ".join(
        f"{mode} {min(one.cpu for one in each):.1f} s"
        for mode, each in zip(modes, runs, strict=True)
    )
    lines.append(
        compare(
            "time_vs_explicit",
            f"seconds of the processor for {STEPS} steps at {side}x{side}, over explicit overlap",
            fstd,
            explicit,
            "s",
            "at most 0.5",
            f"Least of the rounds: {note}.",
        )
    )
    return lines


def _calls(network: Denoiser, side_px: int, mode: Mode) -> float:
    """Sample, and give the calls in a step."""
    calls = [0] * STEPS

    def counted(pyramid: Pyramid, t: Tensor, tiles: Sequence[Tile]) -> Pyramid:
        calls[velocity.step] += len(tiles)
        moved: Pyramid = network(pyramid, t)
        return moved

    size, tile = _sizes(side_px)
    layout = TileLayout(TilingConfig(mode=mode, tiles_at_once=1), size, tile)
    velocity = TiledVelocity(counted, layout, (1,))
    noise = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
    start = TiledState(Point((noise,)))
    *_, last = sample_in_tiles(multistep_step, velocity, start, even_times(STEPS))
    assert last.point.pyramid[0].isfinite().all()
    assert mode == "spot" or len(set(calls)) == 1, calls
    return sum(calls) / STEPS


def _sizes(side_px: int) -> tuple[tuple[int, int], tuple[int, int]]:
    side = side_px // CELL_PX
    return (side, side), (TILE, TILE)
