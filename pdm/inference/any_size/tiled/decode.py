"""Decodes a large image from its drawn maps, band by band.

Tiles of the trained size are decoded, each with the coarse levels of its own part of the enlarged
image. They overlap, and their pixels are blended by smooth weights.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from pdm.config.sampling.tiling import TilingConfig
from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.diffusion.tiles.layout import AxisTiles, Tile
from pdm.inference.any_size.tiled.canvas import Canvas
from pdm.inference.decoding import decode_to_images
from pdm.models.levels.pyramid import Pyramid

OVERLAP = 0.25  # of a tile's side
ROWS_AT_ONCE = 32  # converted to pixels


def decoding_layout(canvas: Canvas, tiles_at_once: int) -> tuple[AxisTiles, AxisTiles]:
    """Return the tiles that are decoded, in cells of the coarsest drawn map."""
    layout = canvas.layout(TilingConfig())
    # Where a tile has few cells, as in compositions of several images, a quarter may be none.
    overlap = max([OVERLAP, *(1 / side for side in layout.tile_size if side > 1)])
    config = TilingConfig(mode="multidiffusion", overlap=overlap, tiles_at_once=tiles_at_once)
    grid = canvas.layout(config).grid(0)
    return grid.rows, grid.columns


@torch.no_grad()
def decode_bands(
    canvas: Canvas,
    pyramid: Pyramid,
    tiles_at_once: int,
    on_tiles: Callable[[int], None] = lambda count: None,
) -> Iterator[Pixels]:
    """Yield the image from top to bottom in bands (rows, W, 3), uint8.

    Args:
        canvas: The image.
        pyramid: Drawn maps of the whole image, as data.
        tiles_at_once: Tiles in one batch.
        on_tiles: Gets the number of tiles after each batch.
    """
    rows, columns = (each.scale(canvas.unit_px) for each in decoding_layout(canvas, tiles_at_once))
    row_weights, column_weights = (_ramps(axis) for axis in (rows, columns))
    device = pyramid[0].device
    below = torch.zeros(3, 0, columns.map_side, device=device)  # of rows that are not finished
    for row, top in enumerate(rows.starts):
        strip = torch.zeros(3, rows.tile_side, columns.map_side, device=device)
        strip[:, : below.shape[1]] = below
        for start in range(0, len(columns.starts), tiles_at_once):
            numbers = range(len(columns.starts))[start : start + tiles_at_once]
            lefts = [columns.starts[number] for number in numbers]
            images = _decode(canvas, pyramid, [(top, left) for left in lefts])
            for number, left, image in zip(numbers, lefts, images, strict=True):
                weights = row_weights[row][:, None] * column_weights[number]
                strip[:, :, left : left + columns.tile_side] += weights.to(device) * image
            on_tiles(len(numbers))
        end = rows.starts[row + 1] if row + 1 < len(rows.starts) else rows.map_side
        below = strip[:, end - top :].clone()  # a view would keep the whole strip in memory
        band = _rows_to_pixels(strip[:, : end - top])
        del strip
        yield band


def _decode(canvas: Canvas, pyramid: Pyramid, corners: list[tuple[int, int]]) -> Tensor:
    """Decode tiles that begin at these pixels, (tiles, 3, h, w) in [-1, 1]."""
    models, unit = canvas.models, canvas.unit_px
    tiles = [Tile(top // unit, left // unit, 0, 0) for top, left in corners]
    known = canvas.encode(tiles)[: canvas.num_known] if canvas.num_known else ()
    height, width = (side // unit for side in models.size)
    drawn = [
        torch.cat(
            [
                level[
                    :,
                    :,
                    tile.top * scale : (tile.top + height) * scale,
                    tile.left * scale : (tile.left + width) * scale,
                ]
                for tile in tiles
            ]
        )
        for level, scale in zip(pyramid, canvas.scales, strict=True)
    ]
    beside = None
    if models.autoencoder.reads_enlarged:
        crops = [canvas.picture.crop(top, left, *models.size) for top, left in corners]
        beside = to_images(np.stack(crops), models.device)
    latents = (*known, *drawn)
    return decode_to_images(models.autoencoder, latents, models.size, models.config, beside)


def _rows_to_pixels(images: Tensor) -> Pixels:
    """Convert (3, rows, W) to uint8 (rows, W, 3), a few rows at a time to spare memory."""
    pixels = np.empty((*images.shape[1:], 3), np.uint8)
    for start in range(0, len(pixels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        pixels[rows] = to_pixels(images[None, :, rows])[0]
    return pixels


def _ramps(axis: AxisTiles) -> list[Tensor]:
    """Return each tile's weights along an axis: linear ramps at its ends, with a sum of 1."""
    ramp = max(round(OVERLAP * axis.tile_side), 1)
    places = torch.arange(axis.tile_side) + 0.5
    profile = (torch.minimum(places, axis.tile_side - places) / ramp).clamp(max=1)
    total = torch.zeros(axis.map_side)
    for start in axis.starts:
        total[start : start + axis.tile_side] += profile
    return [profile / total[start : start + axis.tile_side] for start in axis.starts]
