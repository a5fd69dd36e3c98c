"""Time of sampling where tiles that come again are encoded once, against encoding all of them.

Networks of the showcase with random weights enlarge a picture four times, to twice the trained
size. Both ways are checked to give the same maps to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.parts.any_size.networks import untrained
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, timed
from pdm.config.sampling.tiling import Mode, TilingConfig
from pdm.diffusion.samplers import Point, noise_from_seeds
from pdm.diffusion.tiles.layout import Tile
from pdm.diffusion.tiles.sampling import TiledState, sample_in_tiles
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.inference.any_size.tiled.canvas import Canvas, make_canvas
from pdm.inference.any_size.tiled.encoding_cache import EncodingCache
from pdm.inference.any_size.tiled.tile_velocity import TileDenoiser, plan_steps
from pdm.models.levels.pyramid import Pyramid

FACTOR = 4
MODES: tuple[Mode, ...] = ("fstd", "none", "mixture")


@dataclass(frozen=True)
class Size:
    preset: str
    steps: int
    rounds: int


FULL = Size("showcase", 12, 5)
QUICK = Size("model-tiny", 5, 1)


@dataclass(frozen=True, slots=True)
class CountedCanvas(Canvas):
    """Counts the tiles that are encoded."""

    batches: list[int]

    def encode(self, tiles: Sequence[Tile]) -> Pyramid:
        """See `Canvas.encode`."""
        self.batches.append(len(tiles))
        return Canvas.encode(self, tiles)


@torch.no_grad()
def measure(size: Size, folder: Path) -> list[Ratio]:
    """Sample in three modes, in turn with and without what is kept."""
    models = untrained(size.preset, size.steps)
    height, width = (2 * side // FACTOR for side in models.size)
    picture: Any = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    canvas = make_canvas(models, picture, FACTOR)
    return [_line(canvas, mode, size.rounds) for mode in MODES]


def _line(canvas: Canvas, mode: Mode, rounds: int) -> Ratio:
    maps, all_tiles = _sample(canvas, mode, keeps=False)
    same_maps, encoded = _sample(canvas, mode, keeps=True)
    assert all(torch.equal(*both) for both in zip(maps, same_maps, strict=True)), mode
    ways = (partial(_sample, canvas, mode, keeps=keeps) for keeps in (True, False))
    runs = interleaved(rounds, *(partial(timed, way) for way in ways))
    ours, peer = ([one.cpu for one in each] for each in runs)
    return compare(
        f"repeated_tiles_{mode}",
        f"seconds of the processor to sample in mode {mode}, where tiles that come again are "
        "encoded once, over encoding all",
        ours,
        peer,
        "s",
        "below 1",
        f"Tiles encoded: {encoded}, not {all_tiles}. Maps are equal to the bit.",
    )


def _sample(canvas: Canvas, mode: Mode, *, keeps: bool) -> tuple[Pyramid, int]:
    """Return the drawn maps, and the number of tiles that were encoded."""
    counted = CountedCanvas(canvas.models, canvas.picture, canvas.num_known, [])
    at_once = canvas.models.config.batch_size
    layout = canvas.layout(TilingConfig(mode=mode, tiles_at_once=at_once))
    schedule = plan_steps(counted, 0, 1.0, 0)
    encode = EncodingCache(counted, layout, schedule).encode if keeps else counted.encode
    velocity = TiledVelocity(TileDenoiser(counted, schedule, encode, 0), layout, canvas.scales)
    start = TiledState(Point(noise_from_seeds([0], canvas.shapes)))
    *_, end = sample_in_tiles(schedule.step, velocity, start, schedule.times)
    return end.point.pyramid, sum(counted.batches)
