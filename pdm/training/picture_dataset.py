"""Pictures of the autoencoder's training, by position in the run."""

from dataclasses import dataclass

import torch

from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.data.bucket_order import BucketOrder
from pdm.data.image_tensors import RawImages
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import LevelShape
from pdm.models.regions import random_region
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at, uniform_at
from pdm.training.objectives.equivariance import factors_that_fit
from pdm.training.objectives.losses import MAX_CROP_PX, Plan


class PictureDataset:
    """Training pictures by position in the run, some of them mirrored, with noise for their
    latents.

    Some are close-ups: crops of the training size from the picture at 2, 4, ... times that size, up
    to full resolution, so that the network learns detail at every scale that it will decode.

    Args:
        shards: The split to train on. A step has pictures of one bucket.
        config: Size of the pictures, share of mirrored pictures, seed.
        model: Gives the shapes of the latents.
    """

    def __init__(self, shards: ImageShards, config: AutoencoderConfig, model: Autoencoder) -> None:
        self.shards, self.config = shards, config
        self.size = (config.image_height_px, config.image_width_px)  # of the main bucket
        whole = int(shards.manifest.facts["height_px"])
        self.num_doublings = (whole // config.image_height_px).bit_length() - 1
        counts = tuple(map(len, shards.bucket_ranges))
        self.order = BucketOrder(counts, config.training.batch_size, config.training.seed)
        sizes = [shards.size_in(bucket, *self.size) for bucket in range(len(counts))]
        self.buckets = [_Bucket.of(size, model) for size in sizes]

    def load(self, positions: range) -> Batch:
        """Load images as bytes, noise, and the step's plan."""
        seed = self.config.training.seed
        mirrored = uniform_at(seed, positions, "mirror") < self.config.horizontal_flip
        pixels = torch.from_numpy(self._pixels(positions))
        images = RawImages(pixels, mirrored.nonzero()[:, 0])
        bucket = self.buckets[self.order.bucket_at(positions)]
        noise = normal_pyramid_at(seed, positions, "latents", bucket.level_shapes)
        return images, noise, self._plan(positions.start, bucket)

    def _plan(self, position: int, bucket: "_Bucket") -> Plan:
        batch_size = self.config.training.batch_size
        step = position // batch_size
        levels, downscaling, window, crop = (
            generator_at(self.config.training.seed, step, purpose)
            for purpose in ("levels", "shrinking", "window", "crop")
        )
        side, size, factors = self.config.crop_px, bucket.size, bucket.factors
        most = max(1, len(bucket.level_shapes) - 1)  # a single level has no shorter prefix
        region = None if side is None else random_region(size, side, window)
        decoded = size if region is None else region.size
        return Plan(
            num_levels=int(torch.randint(1, most + 1, (), generator=levels)),
            downscaling=factors[int(torch.randint(len(factors), (), generator=downscaling))],
            images_seen=step * batch_size,
            region=region,
            crop=random_region(decoded, MAX_CROP_PX, crop),
        )

    def _pixels(self, positions: range) -> Pixels:
        """uint8 (B, H, W, 3): whole pictures, and close-ups of some."""
        seed, indices = self.config.training.seed, self._indices(positions)
        size = self.buckets[self.order.bucket_at(positions)].size
        pixels = self.shards.batch(indices, *self.size)
        draws = [uniform_at(seed, positions, name) for name in ("close", "scale", "row", "column")]
        for place, (close, scale, row, column) in enumerate(zip(*draws, strict=True)):
            if close < self.config.close_up and self.num_doublings:
                factor = 2 ** (1 + int(scale * self.num_doublings))
                height, width = (side * factor for side in self.size)
                larger = self.shards.batch([indices[place]], height, width)[0]
                top = int(row * (larger.shape[0] - size[0]))
                left = int(column * (larger.shape[1] - size[1]))
                pixels[place] = larger[top : top + size[0], left : left + size[1]]
        return pixels

    def keys(self, positions: range) -> list[str]:
        """Return the keys of the pictures."""
        return [self.shards.keys[index] for index in self._indices(positions)]

    def _indices(self, positions: range) -> list[int]:
        start = self.shards.bucket_ranges[self.order.bucket_at(positions)].start
        found: list[int] = (start + self.order.images_at(positions)).tolist()
        return found


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What depends on the size of the pictures."""

    size: tuple[int, int]  # (H, W)
    level_shapes: tuple[LevelShape, ...]
    factors: tuple[int, ...]

    @classmethod
    def of(cls, size: tuple[int, int], model: Autoencoder) -> "_Bucket":
        factors = factors_that_fit(size, model.level_downsamplings) or (1,)
        return cls(size, model.level_shapes(*size), factors)
