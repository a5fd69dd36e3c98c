"""The velocity of a large image, stitched from those of its tiles.

Any average of velocities whose weights sum to 1 may be taken, and a prediction of the noise or the
data is averaged by the same weights: at a cell and a time all tiles see the same x, and

    noise = x - t * velocity        data = x + (1 - t) * velocity

are affine in the velocity. So stitched noise belongs to the stitched velocity, and
Any-Size-Diffusion, which stitches predicted noise, is the same method here. Only where no tile lies
do the two differ: such strips take the previous step's prediction, here its velocity. On a straight
path both are constant in time.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from pdm.diffusion.tiles.layout import Grid, Tile, TileLayout
from pdm.diffusion.tiles.weights import axis_weights, covered
from pdm.models.levels.pyramid import Pyramid

# (maps of some tiles, t (tiles,) or (tiles, levels), the tiles) -> velocities, same shapes
VelocityOfTiles = Callable[[Pyramid, Tensor, Sequence[Tile]], Pyramid]


class TiledVelocity:
    """Velocity of one image's maps; a `Velocity` for any sampler of fixed steps.

    Whoever samples sets `step` before each step, as `pdm.diffusion.tiles.sampling` does: all
    evaluations within a step then see the same tiles.

    Args:
        velocity: Of tiles.
        layout: Where they lie, in cells of the first map.
        scales: Cells of each map within one of the first along a side, such as (1, 2).
        on_tiles: Gets the number of tiles after each batch of the network.

    Attributes:
        step: Number of the step.
        predicted: What was predicted last; None before the first evaluation.
    """

    def __init__(
        self,
        velocity: VelocityOfTiles,
        layout: TileLayout,
        scales: Sequence[int],
        on_tiles: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.velocity, self.layout, self.scales = velocity, layout, tuple(scales)
        self.on_tiles = on_tiles
        self.step = 0
        self.predicted: Pyramid | None = None

    def __call__(self, pyramid: Pyramid, t: Tensor) -> Pyramid:
        """Predict the velocity of every cell.

        Args:
            pyramid: Maps (1, C, h, w) of the whole image.
            t: (1,), or (1, levels of a tile), passed on to the velocity of tiles.
        """
        stitching = _Stitching(self.layout, self.layout.grid(self.step), self.scales, pyramid)
        for tiles in _batches(stitching.grid.tiles, self.layout.config.tiles_at_once):
            times = t.expand(len(tiles), *t.shape[1:])
            stitching.add(tiles, self.velocity(stitching.cut(pyramid, tiles), times, tiles))
            self.on_tiles(len(tiles))
        self.predicted = stitching.finish(self.predicted)
        return self.predicted


class _Stitching:
    """One evaluation: the sum over its tiles so far."""

    def __init__(
        self, layout: TileLayout, grid: Grid, scales: Sequence[int], pyramid: Pyramid
    ) -> None:
        self.grid, self.scales = grid, scales
        self.axes = [(grid.rows.scale(scale), grid.columns.scale(scale)) for scale in scales]
        device = pyramid[0].device
        self.weights = [
            tuple(
                [each.float().to(device) for each in axis_weights(layout.config, axis, is_rows=one)]
                for axis, one in zip(axes, (True, False), strict=True)
            )
            for axes in self.axes
        ]
        self.sums = tuple(torch.zeros_like(level) for level in pyramid)

    def cut(self, pyramid: Pyramid, tiles: Sequence[Tile]) -> Pyramid:
        """Cut tiles out of each map, (tiles, C, h, w)."""
        return tuple(
            torch.cat([self._of(level, number, tile) for tile in tiles])
            for number, level in enumerate(pyramid)
        )

    def add(self, tiles: Sequence[Tile], velocities: Pyramid) -> None:
        """Add the weighted velocities of some tiles."""
        for number, (total, of_tiles) in enumerate(zip(self.sums, velocities, strict=True)):
            rows, columns = self.weights[number]
            for tile, own in zip(tiles, of_tiles, strict=True):
                weights = rows[tile.row][:, None] * columns[tile.column]
                self._of(total, number, tile).add_(weights.to(own.dtype) * own)

    def finish(self, previous: Pyramid | None) -> Pyramid:
        """Fill in what no tile covers with the previous prediction."""
        if all(covered(axis).all() for axis in (self.grid.rows, self.grid.columns)):
            return self.sums
        assert previous is not None  # in the first step tiles cover everything
        for total, before, cells in zip(self.sums, previous, self._covered(), strict=True):
            strips = ~cells.to(total.device)
            total[:, :, strips] = before[:, :, strips]
        return self.sums

    def _covered(self) -> Iterator[Tensor]:
        for rows, columns in self.axes:
            yield covered(rows)[:, None] & covered(columns)

    def _of(self, level: Tensor, number: int, tile: Tile) -> Tensor:
        """Cut a tile out of a map, as a view."""
        scale, (rows, columns) = self.scales[number], self.axes[number]
        top, left = tile.top * scale, tile.left * scale
        return level[:, :, top : top + rows.tile_side, left : left + columns.tile_side]


def _batches(tiles: Sequence[Tile], size: int) -> Iterator[Sequence[Tile]]:
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]
