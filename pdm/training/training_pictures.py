"""Pictures of the autoencoder's training, by position in the run."""

import torch

from pdm.config.autoencoder import AutoencoderConfig
from pdm.data.order import images_at
from pdm.data.pixels import Pixels, RawImages
from pdm.data.shards.images import ImageShards
from pdm.models.codec import Autoencoder
from pdm.models.regions import random_region
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at, uniform_at
from pdm.training.objectives.equivariance import factors_that_fit
from pdm.training.objectives.losses import LARGEST_CROP_PX, Plan


class Pictures:
    """Training pictures by position in the run, some of them mirrored, with noise for their
    latents.

    Some are close-ups: crops of the training size from the picture at 2, 4, ... times that size, up
    to full resolution, so that the network learns detail at every scale that it will decode.

    Args:
        shards: The split to train on.
        config: Size of the pictures, share of mirrored pictures, seed.
        model: Gives the shapes of the latents.
    """

    def __init__(self, shards: ImageShards, config: AutoencoderConfig, model: Autoencoder) -> None:
        self.shards, self.config = shards, config
        self.size = (config.image_height_px, config.image_width_px)
        whole = int(shards.manifest.facts["height_px"])
        self.num_doublings = (whole // config.image_height_px).bit_length() - 1
        self.level_shapes = model.level_shapes(*self.size)
        self.factors = factors_that_fit(self.size, model.level_downsamplings) or (1,)

    def load(self, positions: range) -> Batch:
        """Load images as bytes, noise, and the step's plan."""
        seed = self.config.training.seed
        mirrored = uniform_at(seed, positions, "mirror") < self.config.horizontal_flip
        pixels = torch.from_numpy(self._pixels(positions))
        images = RawImages(pixels, mirrored.nonzero()[:, 0])
        noise = normal_pyramid_at(seed, positions, "latents", self.level_shapes)
        return images, noise, self._plan(positions.start)

    def _plan(self, position: int) -> Plan:
        batch_size = self.config.training.batch_size
        step = position // batch_size
        levels, downscaling, window, crop = (
            generator_at(self.config.training.seed, step, purpose)
            for purpose in ("levels", "shrinking", "window", "crop")
        )
        side = self.config.crop_px
        most = max(1, len(self.level_shapes) - 1)  # a single level has no shorter prefix
        return Plan(
            num_levels=int(torch.randint(1, most + 1, (), generator=levels)),
            downscaling=self.factors[
                int(torch.randint(len(self.factors), (), generator=downscaling))
            ],
            images_seen=step * batch_size,
            region=None if side is None else random_region(self.size, side, window),
            crop=random_region(self.size if side is None else (side, side), LARGEST_CROP_PX, crop),
        )

    def _pixels(self, positions: range) -> Pixels:
        """uint8 (B, H, W, 3): whole pictures, and close-ups of some."""
        seed, indices = self.config.training.seed, self._indices(positions)
        pixels = self.shards.batch(indices, *self.size)
        draws = [uniform_at(seed, positions, name) for name in ("close", "scale", "row", "column")]
        for place, (close, scale, row, column) in enumerate(zip(*draws, strict=True)):
            if close < self.config.close_up and self.num_doublings:
                factor = 2 ** (1 + int(scale * self.num_doublings))
                height, width = (side * factor for side in self.size)
                larger = self.shards.batch([indices[place]], height, width)[0]
                top, left = int(row * (height - self.size[0])), int(column * (width - self.size[1]))
                pixels[place] = larger[top : top + self.size[0], left : left + self.size[1]]
        return pixels

    def keys(self, positions: range) -> list[str]:
        """Return the keys of the pictures."""
        return [self.shards.keys[index] for index in self._indices(positions)]

    def _indices(self, positions: range) -> list[int]:
        found: list[int] = images_at(
            positions, len(self.shards), self.config.training.seed
        ).tolist()
        return found
