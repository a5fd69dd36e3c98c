"""Where tiles lie in a step: a function of the tiling, the sizes, the seed and the step alone.

Lengths are in cells of the coarsest map that is drawn, so that a tile begins at whole cells of
every map. Tiles form a grid: every start along the rows is combined with every start along the
columns. So all that follows is computed for each axis by itself.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pdm.config.sampling.tiling import TilingConfig


@dataclass(frozen=True, slots=True)
class AxisTiles:
    """The tiles along one axis of a map.

    Args:
        map_side: Of the map.
        tile_side: Of a tile, at most `map_side`.
        starts: Rising; no tile reaches beyond the map.
    """

    map_side: int
    tile_side: int
    starts: tuple[int, ...]

    def scale(self, factor: int) -> "AxisTiles":
        """Return the same tiles on a finer map, with `factor` cells in place of one."""
        starts = tuple(start * factor for start in self.starts)
        return AxisTiles(self.map_side * factor, self.tile_side * factor, starts)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: where it begins, in cells, and its number along each axis."""

    top: int
    left: int
    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles of one step."""

    rows: AxisTiles
    columns: AxisTiles

    @property
    def tiles(self) -> list[Tile]:
        """All tiles, row by row."""
        return [
            Tile(top, left, row, column)
            for row, top in enumerate(self.rows.starts)
            for column, left in enumerate(self.columns.starts)
        ]

    def has(self, tile: Tile) -> bool:
        """Whether a tile of the grid begins where this one does."""
        return tile.top in self.rows.starts and tile.left in self.columns.starts


@dataclass(frozen=True, slots=True)
class TileLayout:
    """Tiles over a map, step by step.

    Args:
        config: How to tile.
        size: (h, w) of the map in cells.
        tile_size: (h, w) of a tile in cells. Along an axis where the map is smaller, the tile is as
            long as the map: there the image is sampled as a whole.
    """

    config: TilingConfig
    size: tuple[int, int]
    tile_size: tuple[int, int]

    def grid(self, step: int) -> Grid:
        """Return the tiles of a step, which counts from 0.

        In mode `fstd` both offsets are 0 in step 0 and in every `reset_every`-th after it. In other
        steps the tiles cover all but a strip at the top and one on the left.
        """
        rows, columns = (
            AxisTiles(side, min(tile, side), self._starts(side, min(tile, side), step, axis))
            for axis, (side, tile) in enumerate(zip(self.size, self.tile_size, strict=True))
        )
        return Grid(rows, columns)

    def _starts(self, side: int, tile: int, step: int, axis: int) -> tuple[int, ...]:
        mode, overlap = self.config.mode, round(self.config.overlap * tile)
        if mode == "none":
            starts: Sequence[int] = range(0, side, tile)
        elif mode == "fstd":
            still = step % self.config.reset_every == 0
            offset = 0 if still else self._offset(step, axis, max(overlap, 1))
            starts = range(offset, side + offset, tile)
        elif mode == "spot":
            # Without wrapping around: the windows that reach beyond an edge are moved inside.
            starts = range(-self._offset(step, axis, tile), side, tile)
        else:
            starts = range(0, side, max(tile - overlap, 1))
        # Tiles that would reach beyond the map are moved inside; of equal ones one is enough.
        return tuple(sorted({min(max(start, 0), side - tile) for start in starts}))

    def _offset(self, step: int, axis: int, limit: int) -> int:
        """Draw from {0, ..., limit - 1}, the same for all tiles of a step."""
        return random.Random(f"{self.config.seed}/{step}/{axis}").randrange(limit)
