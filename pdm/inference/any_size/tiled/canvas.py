"""What an enlargement works on: the levels that it draws, on maps of the whole large image.

The coarse levels of a tile are known: they come from encoding the tile's part of the image after
a bicubic enlargement. They hold everything that such an image has, so the composition stays one,
whatever a tile sees. Only the finer levels are drawn. A network with a single level draws that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdm.config.sampling.tiling import TilingConfig
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.diffusion.tiles.layout import Tile, TileLayout
from pdm.errors import BadInput
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.pictures.windows import round_up
from pdm.models.levels.pyramid import LevelShape, Pyramid


@dataclass(frozen=True, slots=True)
class Canvas:
    """An image that is enlarged by a model.

    Args:
        models: The models.
        picture: After the bicubic enlargement, with sides that the model can draw.
        num_known: Levels that are known, the coarsest; the others are drawn.
    """

    models: LoadedModels
    picture: EnlargedImage
    num_known: int

    @property
    def unit_px(self) -> int:
        """Pixels of a cell of the coarsest map that is drawn; tiles begin at whole ones."""
        return int(self.models.autoencoder.level_downsamplings[self.num_known])

    @property
    def scales(self) -> list[int]:
        """Cells of each drawn map within one of the coarsest of them, along a side."""
        drawn = self.models.autoencoder.level_downsamplings[self.num_known :]
        return [self.unit_px // int(each) for each in drawn]

    @property
    def num_encoded(self) -> int:
        """Levels of an encoded tile that the network sees, the coarsest: those that are known, and
        all where the model was trained to enlarge."""
        enlarges = isinstance(self.models.task, SuperResolutionTask)
        return len(self.models.autoencoder.level_channels) if enlarges else self.num_known

    @property
    def shapes(self) -> list[LevelShape]:
        """Shapes of the drawn maps of the whole image."""
        channels = self.models.autoencoder.level_channels[self.num_known :]
        height, width = (side // self.unit_px for side in self.picture.size)
        return [
            (count, height * scale, width * scale)
            for count, scale in zip(channels, self.scales, strict=True)
        ]

    def layout(self, config: TilingConfig) -> TileLayout:
        """Lay tiles of the trained size over the image."""
        size, tile = (
            (height // self.unit_px, width // self.unit_px)
            for height, width in (self.picture.size, self.models.size)
        )
        return TileLayout(config, size, tile)

    def part(self, tile: Tile) -> Rectangle:
        """Return a tile in pixels of the image."""
        return Rectangle(tile.top * self.unit_px, tile.left * self.unit_px, *self.models.size)

    def encode(self, tiles: Sequence[Tile]) -> Pyramid:
        """Encode the image's part in each tile: all levels."""
        size = self.models.size
        corners = [(tile.top * self.unit_px, tile.left * self.unit_px) for tile in tiles]
        crops = [self.picture.crop(top, left, *size) for top, left in corners]
        return self.models.encode(np.stack(crops))


def make_canvas(models: LoadedModels, picture: Pixels, factor: int) -> Canvas:
    """Prepare an enlargement.

    Args:
        models: The models.
        picture: uint8 (H, W, 3), of any size.
        factor: 2, 4, ...: a power of 2.

    Raises:
        BadInput: The model cannot enlarge, or not by this factor.
    """
    num_known = count_known_levels(models, factor)
    downsamplings = models.autoencoder.level_downsamplings
    multiple = int(downsamplings[num_known])
    height, width = (
        max(round_up(side * factor, multiple), least)
        for side, least in zip(picture.shape[:2], models.size, strict=True)
    )
    return Canvas(models, EnlargedImage(picture, factor, (height, width)), num_known)


def count_known_levels(models: LoadedModels, factor: int) -> int:
    """Count the levels that an enlarged image already has.

    It has no detail finer than `factor` pixels, which is what the finest levels hold: one of them
    at factor 2, two at factor 4. A model with a single level, as LDM's, has none that is known.

    Raises:
        BadInput: The factor is not one that the model can enlarge by.
    """
    factors = enlarging_factors(models)
    if factor not in factors:
        expected = " or ".join(str(each) for each in factors)
        raise BadInput(f"the factor is {factor}, but the model enlarges by {expected} in one round")
    maps = [int(each) for each in models.autoencoder.level_downsamplings if each != "global"]
    if len(maps) == 1:
        return 0
    drawn = sum(each < maps[-1] * factor for each in maps)
    return len(models.autoencoder.level_downsamplings) - drawn


def enlarging_factors(models: LoadedModels) -> tuple[int, ...]:
    """Return the factors by which a model can enlarge in one go, rising."""
    if models.networks.network.begins_at_image:
        return (2, 4)
    if isinstance(models.task, SuperResolutionTask):
        return (models.task.factor,)
    maps = [each for each in models.autoencoder.level_downsamplings if each != "global"]
    # The coarsest map stays known.
    return (2, 4) if len(maps) == 1 else tuple(2**power for power in range(1, len(maps)))[:2]


def enlarging_unit(models: LoadedModels) -> int:
    """Return what the sides of enlarged images should be multiples of: pixels of a cell of the
    coarsest map that is drawn."""
    largest = max(enlarging_factors(models))
    return int(models.autoencoder.level_downsamplings[count_known_levels(models, largest)])
