"""Measures an autoencoder during training: PSNR, and a sheet of reconstructions.

Pictures go through the model in batches that depend on their size only: 16 small ones, or one of
2048x2048, whose decoding takes 3 GiB in float32. The workers share the batches, so that none waits
long for another, and results do not depend on their number. Models are in evaluation mode.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.data.sheets import contact_sheet, reduce_picture
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.training.distributed.workers import Workers

BATCH_SIZE = 16
MAX_PIXELS = 2**20  # of a batch: 16 pictures of 256x256
SHEET_IMAGES = 4
SHEET_PX = 512  # longer side of its pictures; whole large ones would take minutes to write
SCORED_IMAGES = 16  # after each checkpoint; enough to rank checkpoints
MEASURED_IMAGES = 1024  # of a finished model; PSNR has a deviation of about 3 dB over pictures
MEASURED_PIXELS = 2**28  # of all of them together: 64 pictures of 2048x2048, decoded several times

Size = tuple[int, int]  # height and width in pixels
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reconstructions:
    """How an autoencoder reconstructs the first held-out pictures.

    Args:
        by_levels: PSNR in dB of each picture on the sheet by its number, decoded from the coarsest
            level, the two coarsest, ..., all.
        complete: PSNR in dB of further pictures, decoded from all levels.
        sheet: The first pictures in the first row, and their reconstructions from more and more
            levels below; large pictures are reduced.
    """

    by_levels: dict[int, list[float]]
    complete: list[float]
    sheet: Image.Image

    @property
    def psnr(self) -> float:
        """Mean PSNR in dB of all pictures, decoded from all levels."""
        return _mean([*(scores[-1] for scores in self.by_levels.values()), *self.complete])


@torch.no_grad()
def reconstruct_held_out(
    model: Autoencoder, shards: ImageShards, size: Size, workers: Workers
) -> Reconstructions:
    """Reconstruct the first `SCORED_IMAGES` pictures, and those of the sheet from each prefix of
    the levels. Each is encoded once. Every worker must call this."""
    shown = shards.in_turn[:SHEET_IMAGES]
    others = [number for number in first_numbers(shards, SCORED_IMAGES) if number not in shown]

    def measure(batch: Sequence[int]) -> tuple[list[list[float]], list[list[Pixels]]]:
        """Scores of each picture, and its column of the sheet."""
        images, means = _encode(model, shards, batch, size)
        if batch[0] not in shown:
            decoded = model.decode_raw(means, size_of(images))
            return [[score] for score in psnr(decoded, images).tolist()], []
        scores, rows = [], [_reduce(images)]
        for count in range(1, len(means) + 1):
            decoded = model.decode_raw(means[:count], size_of(images))
            scores.append(psnr(decoded, images).tolist())
            rows.append(_reduce(decoded))
        return _transpose(scores), _transpose(rows)

    parts = batches_by_bucket(shards, shown, size) + batches_by_bucket(shards, others, size)
    found = workers.map(measure, parts)
    numbers = [number for batch in parts for number in batch]
    scores = dict(zip(numbers, (row for rows, _ in found for row in rows), strict=True))
    columns = dict(zip(numbers, (row for _, rows in found for row in rows), strict=False))
    return Reconstructions(
        {number: scores[number] for number in shown},
        [scores[number][-1] for number in others],
        contact_sheet(_transpose([columns[number] for number in shown])),
    )


@torch.no_grad()
def psnr_by_prefix(
    model: Autoencoder,
    shards: ImageShards,
    size: Size,
    workers: Workers,
    known: Mapping[int, Sequence[float]] = MappingProxyType({}),
) -> list[float]:
    """Mean PSNR in dB, decoded from the coarsest level, the two coarsest, ...

    Of the first `MEASURED_IMAGES` pictures, or fewer large ones; every worker must call this.

    Args:
        known: `Reconstructions.by_levels` of the same model, if it was scored already.
    """

    def measure(batch: Sequence[int]) -> list[list[float]]:
        images, means = _encode(model, shards, batch, size)
        prefixes = (means[:count] for count in range(1, len(means) + 1))
        return _transpose(
            [
                psnr(model.decode_raw(prefix, size_of(images)), images).tolist()
                for prefix in prefixes
            ]
        )

    most = min(MEASURED_IMAGES, max(SCORED_IMAGES, MEASURED_PIXELS // math.prod(size)))
    rest = [number for number in first_numbers(shards, most) if number not in known]
    parts = workers.map(measure, batches_by_bucket(shards, rest, size))
    scores = [*known.values(), *(score for part in parts for score in part)]
    return [_mean(level) for level in zip(*scores, strict=True)]


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratios (B,) in dB of images in [-1, 1]; `prediction` is clipped to that
    range."""
    error = (prediction.float().clamp(-1, 1) - target).square().mean(dim=(1, 2, 3))
    return 10 * (4 / error.clamp(min=1e-12)).log10().cpu()


def first_numbers(shards: ImageShards, count: int) -> list[int]:
    """About the first `count` pictures of a split, or all if there are fewer; as many from each
    bucket, so that every size counts in a score."""
    share = -(-count // len(shards.bucket_ranges))
    return [number for numbers in shards.bucket_ranges for number in numbers[:share]]


def proportional_numbers(shards: ImageShards, count: int) -> list[int]:
    """About `count` pictures of a split, or all if there are fewer: the first of each bucket, as
    large a share of every bucket, at least one. With one bucket the first `count`."""
    most = min(count, len(shards))
    return [
        number
        for numbers in shards.bucket_ranges
        for number in numbers[: -(-most * len(numbers) // len(shards))]
    ]


def batches_by_bucket(
    shards: ImageShards, numbers: Sequence[int], size: Size
) -> list[Sequence[int]]:
    """Split pictures into batches of one bucket each, in the order of the buckets."""
    return [
        batch
        for place, bucket in enumerate(shards.bucket_ranges)
        for batch in batches(
            [number for number in numbers if number in bucket], shards.size_in(place, *size)
        )
    ]


def batches(numbers: Sequence[int], size: Size) -> list[Sequence[int]]:
    """Split pictures of one size into batches."""
    at_once = min(BATCH_SIZE, max(1, MAX_PIXELS // math.prod(size)))
    return [numbers[start : start + at_once] for start in range(0, len(numbers), at_once)]


def size_of(images: Tensor) -> Size:
    """Height and width of images (B, 3, H, W)."""
    return images.shape[2], images.shape[3]


def load_images(
    model: Autoencoder, shards: ImageShards, indices: Sequence[int], size: Size
) -> Tensor:
    """Some pictures, (B, 3, H, W) in [-1, 1], on the model's device."""
    device = next(model.parameters()).device
    return to_images(shards.batch(indices, *size)).to(device)


def _encode(
    model: Autoencoder, shards: ImageShards, indices: Sequence[int], size: Size
) -> tuple[Tensor, Pyramid]:
    """Some pictures, and their latents."""
    images = load_images(model, shards, indices, size)
    return images, model.posterior(images)[0]


def _reduce(images: Tensor) -> list[Pixels]:
    return [reduce_picture(picture, SHEET_PX) for picture in to_pixels(images.float())]


def _transpose(rows: Sequence[Sequence[Item]]) -> list[list[Item]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
