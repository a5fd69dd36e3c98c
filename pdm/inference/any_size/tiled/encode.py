"""Encodes an image larger than trained, tile by tile, to the maps that are drawn of it."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from pdm.config.sampling.tiling import TilingConfig
from pdm.diffusion.tiles.layout import Tile
from pdm.diffusion.tiles.velocity import TiledVelocity
from pdm.inference.any_size.tiled.canvas import Canvas
from pdm.models.levels.pyramid import Pyramid


def encode_maps(canvas: Canvas, tiles_at_once: int) -> Pyramid:
    """Encode overlapping tiles, and average them by Gaussian weights.

    Returns:
        The maps of `canvas.shapes`, with a batch of one.
    """
    config = TilingConfig(mode="mixture", tiles_at_once=tiles_at_once)

    def encode(pyramid: Pyramid, t: Tensor, tiles: Sequence[Tile]) -> Pyramid:
        return canvas.encode(tiles)[canvas.num_known :]

    stitched = TiledVelocity(encode, canvas.layout(config), canvas.scales)
    device = canvas.models.device
    zeros = tuple(torch.zeros(1, *shape, device=device) for shape in canvas.shapes)
    return stitched(zeros, torch.zeros(1, device=device))


class EncodedOnce:
    """The maps of an image, to cut tiles from; for a model that was trained to enlarge and has a
    single level.

    Args:
        canvas: The image.
        tiles_at_once: Most tiles in one batch of the autoencoder.
    """

    def __init__(self, canvas: Canvas, tiles_at_once: int) -> None:
        self.canvas, self.tiles_at_once = canvas, tiles_at_once

    @cached_property
    def maps(self) -> Pyramid:
        """Those of `encode_maps`."""
        return encode_maps(self.canvas, self.tiles_at_once)

    def cut(self, tiles: Sequence[Tile]) -> Pyramid:
        """Return the latents of some tiles, (tiles, C, h, w)."""
        [latent] = self.maps
        height, width = (side // self.canvas.unit_px for side in self.canvas.models.size)
        parts = [
            latent[:, :, tile.top : tile.top + height, tile.left : tile.left + width]
            for tile in tiles
        ]
        return (torch.cat(parts),)
