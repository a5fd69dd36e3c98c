"""Measures an autoencoder during training: PSNR, and a sheet of reconstructions.

Pictures go through the model in batches that depend on their size only: 16 small ones, or one of
2048x2048, whose decoding takes 3 GiB in float32. The workers share the batches, so that none waits
long for another, and results do not depend on their number. Models are in evaluation mode.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor

from pdm.data.pixels import Pixels, to_images, to_pixels
from pdm.data.shards.images import ImageShards
from pdm.data.sheets import contact_sheet, reduce_picture
from pdm.models.codec import Autoencoder
from pdm.training.distributed.workers import Workers

BATCH_SIZE = 16
MAX_PIXELS = 2**20  # of a batch: 16 pictures of 256x256
SHEET_IMAGES = 4
SHEET_PX = 512  # longer side of its pictures; whole large ones would take minutes to write
SCORED_IMAGES = 16  # after each checkpoint; enough to rank checkpoints
MEASURED_IMAGES = 1024  # of a finished model; PSNR has a deviation of about 3 dB over pictures

Size = tuple[int, int]  # height and width in pixels


@torch.no_grad()
def psnr_by_prefix(
    model: Autoencoder, shards: ImageShards, size: Size, workers: Workers
) -> list[float]:
    """Mean PSNR in dB, decoded from the coarsest level, the two coarsest, ...

    Of the first `MEASURED_IMAGES` pictures; every worker must call this.
    """

    def measure(batch: range) -> list[list[float]]:
        images = load_images(model, shards, batch, size)
        means, _ = model.posterior(images)
        return [
            psnr(model.decode_raw(means[: count + 1], size_of(images)), images).tolist()
            for count in range(len(means))
        ]

    scores = workers.map(measure, first_batches(shards, MEASURED_IMAGES, size))
    return [_mean(values) for values in zip(*scores, strict=True)]


@torch.no_grad()
def held_out_psnr(model: Autoencoder, shards: ImageShards, size: Size, workers: Workers) -> float:
    """Mean PSNR in dB of the first `SCORED_IMAGES` pictures, decoded from all levels. Every worker
    must call this."""

    def measure(batch: range) -> list[float]:
        images = load_images(model, shards, batch, size)
        values: list[float] = psnr(
            model.decode_raw(model.posterior(images)[0], size_of(images)), images
        ).tolist()
        return values

    return _mean(workers.map(measure, first_batches(shards, SCORED_IMAGES, size)))


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratios (B,) in dB of images in [-1, 1]; `prediction` is clipped to that
    range."""
    error = (prediction.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3))
    return 10 * (4 / error.clamp(min=1e-12)).log10().cpu()


@torch.no_grad()
def reconstruction_sheet(
    model: Autoencoder, shards: ImageShards, size: Size, workers: Workers
) -> Image.Image:
    """Draw a few pictures in the first row, and their reconstructions from more and more levels
    below. Every worker must call this; large pictures are reduced."""

    def draw(index: int) -> list[Pixels]:
        images = load_images(model, shards, range(index, index + 1), size)
        means, _ = model.posterior(images)
        decoded = (
            model.decode_raw(means[: count + 1], size_of(images)) for count in range(len(means))
        )
        column = (to_pixels(picture.float())[0] for picture in (images, *decoded))
        return [reduce_picture(picture, SHEET_PX) for picture in column]

    columns = workers.map(draw, _first_of_buckets(shards))
    return contact_sheet(list(zip(*columns, strict=True)))


def _first_of_buckets(shards: ImageShards) -> list[int]:
    """The first `SHEET_IMAGES` pictures, taken from the buckets in turn."""
    in_turn = itertools.zip_longest(*shards.bucket_ranges)
    numbers = [number for turn in in_turn for number in turn if number is not None]
    return numbers[:SHEET_IMAGES]


def batches(count: int, size: Size) -> list[range]:
    """Split the first `count` pictures of one size into batches."""
    at_once = min(BATCH_SIZE, max(1, MAX_PIXELS // math.prod(size)))
    return [range(start, min(start + at_once, count)) for start in range(0, count, at_once)]


def first_batches(shards: ImageShards, count: int, size: Size) -> list[range]:
    """Split about the first `count` pictures of a split into batches, or all if there are fewer.
    Each bucket has an equal part, and batches of its own."""
    share = -(-count // len(shards.bucket_ranges))
    return [
        numbers[batch.start : batch.stop]
        for place, numbers in enumerate(shards.bucket_ranges)
        for batch in batches(min(share, len(numbers)), shards.size_in(place, *size))
    ]


def size_of(images: Tensor) -> Size:
    """Height and width of images (B, 3, H, W)."""
    return images.shape[2], images.shape[3]


def image_batches(
    model: Autoencoder, shards: ImageShards, size: Size, count: int
) -> Iterator[Tensor]:
    """The first `count` pictures of a split in batches (B, 3, H, W), in [-1, 1] and on the model's
    device; all if there are fewer."""
    for batch in first_batches(shards, count, size):
        yield load_images(model, shards, batch, size)


def load_images(
    model: Autoencoder, shards: ImageShards, indices: Sequence[int], size: Size
) -> Tensor:
    """Some pictures, (B, 3, H, W) in [-1, 1], on the model's device."""
    device = next(model.parameters()).device
    return to_images(shards.batch(indices, *size)).to(device)


def _mean(batches_of_values: Sequence[Sequence[float]]) -> float:
    values = [value for batch in batches_of_values for value in batch]
    return math.fsum(values) / len(values)
