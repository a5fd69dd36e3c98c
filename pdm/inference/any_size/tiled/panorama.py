"""Composes an image of another shape than the model knows: several images side by side.

Each tile has the trained size and is a complete pyramid; all maps are parts of maps of the whole,
whose predictions are stitched in every step (`pdm.diffusion.tiles`). Tiles overlap, so that what
they show goes on in the next (MultiDiffusion, arXiv:2302.08113). The global level has no place, so
it is that of an image that the model draws from the same seed: all tiles have one light and style.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pdm.config.sampling.tiling import TilingConfig
from pdm.data.pixels import Pixels
from pdm.diffusion.tiles.layout import Tile
from pdm.inference.any_size.tiled.canvas import Canvas
from pdm.inference.any_size.tiled.enlarge import Job
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.pictures.draw import Drawing
from pdm.models.levels.pyramid import Pyramid
from pdm.progress import Progress

# Symmetric: a tile has few cells of the coarsest map, and half a cell off would be no overlap.
TILING = TilingConfig(mode="mixture", overlap=0.5, symmetric=True)


@dataclass(frozen=True, slots=True)
class Panorama(Canvas):
    """The whole image, whose global level alone is known.

    Args:
        reference_latents: Levels of an image that the model drew.
    """

    reference_latents: Pyramid

    def encode(self, tiles: Sequence[Tile]) -> Pyramid:
        """Return the levels of the drawn image for every tile."""
        return tuple(level.expand(len(tiles), -1, -1, -1) for level in self.reference_latents)


@torch.no_grad()
def compose_side_by_side(
    drawing: Drawing,
    size: tuple[int, int],
    state: Path,
    save_seconds: float = 30.0,
    boxes: TileBoxes | None = None,
) -> Iterator[Pixels]:
    """Draw a composition. No more tiles are evaluated at once than images by `sample`.

    Args:
        drawing: What it shows.
        size: (H, W), multiples of the models' `side_multiple`, at least the trained size.
        state: Folder for an unfinished state, as for `pdm.inference.any_size.tiled.enlarge`. It is
            removed at the end.
        save_seconds: Least time between two saves.
        boxes: In place of the drawing's condition, for a model of layouts: each tile gets its part
            of them.

    Yields:
        uint8 (rows, W, 3), from the top.
    """
    models = drawing.models
    num_global = sum(each == "global" for each in models.autoencoder.level_downsamplings)
    reference = models.encode(drawing.draw()[None]) if num_global else ()
    plain = EnlargedImage(np.broadcast_to(np.uint8(0), (*size, 3)), 1, size)
    canvas = Panorama(models, plain, num_global, reference)
    at_once = min(TILING.tiles_at_once, models.config.batch_size)
    tiling = replace(TILING, tiles_at_once=at_once)
    job = Job(canvas, tiling, drawing.seed, 1.0, drawing.condition, boxes)
    progress: list[Progress] = []

    def report(done: int, total: int) -> None:
        progress[:] = progress or [Progress("compose", total, unit="tiles", done=done)]
        progress[0].reach(done)

    yield from job.run(report, state, save_seconds)
    shutil.rmtree(state, ignore_errors=True)
