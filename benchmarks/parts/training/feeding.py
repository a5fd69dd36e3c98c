"""What a worker's processor does for a training picture of 2048x2048 on its way to a GPU.

Ours decodes it to bytes: they are converted, mirrored and standardised on the GPU. The peer is this
project at 52d5325: Pillow decodes, and conversion and mirroring happen on the processor. (It also
pinned the fourfold bytes on the main thread, which is not counted here.)
"""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.data.image_tensors import RawImages, to_images
from pdm.data.pixels import Pixels
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.tars import write_tar


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    side_px: int
    num_images: int
    batch_size: int  # one GPU's share of a batch
    rounds: int


FULL = Size(side_px=2048, num_images=8, batch_size=2, rounds=5)
QUICK = Size(side_px=64, num_images=4, batch_size=2, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    shards = _write_shards(folder / "shards", size)
    for raw, images in zip(_ours(shards, size), _before(shards, size), strict=True):
        assert torch.equal(raw.images(), images)
    with limited_threads(1):
        sides = [lambda: [*_ours(shards, size)], lambda: [*_before(shards, size)]]
        seconds = interleaved(size.rounds, *(partial(timed, side) for side in sides))
    ours, before = (speeds(size.num_images, [one.cpu for one in side]) for side in seconds)
    return [
        compare(
            "feed_speedup",
            f"training pictures of {size.side_px} px made ready for a GPU, against 52d5325",
            ours,
            before,
            "images/s and core",
            "at least 3",
            f"{size.num_images} JPEGs of quality 95 in the page cache, hashed and decoded in "
            f"batches of {size.batch_size}, every second mirrored; by processor time. The pictures "
            "are equal, bit for bit",
        )
    ]


def _write_shards(folder: Path, size: Size) -> ImageShards:
    folder.mkdir()
    path = folder / "train-000000.tar"
    write_tar(path, (_sample(number, size.side_px) for number in range(size.num_images)))
    shard = manifest.Shard.of(path, size.num_images)
    manifest.Manifest({"train": [shard]}, {}).save(folder)
    return ImageShards(folder, "train")


def _sample(number: int, side: int) -> tuple[str, dict[str, bytes]]:
    """A picture with large shapes and some grain, of about 0.5 bytes a pixel, and its record."""
    random = np.random.default_rng(number)
    shapes = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    pixels = (smooth + random.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    record = {"image_sha256": hashlib.sha256(file.getvalue()).hexdigest()}
    return f"{number:020x}", {"jpg": file.getvalue(), "json": json.dumps(record).encode()}


def _batches(size: Size) -> Iterator[range]:
    for start in range(0, size.num_images, size.batch_size):
        yield range(start, start + size.batch_size)


def _ours(shards: ImageShards, size: Size) -> Iterator[RawImages]:
    for batch in _batches(size):
        pixels = torch.from_numpy(shards.decoded(batch, size.side_px, size.side_px))
        yield RawImages(pixels, torch.arange(1, len(batch), 2))


def _before(shards: ImageShards, size: Size) -> Iterator[Tensor]:
    for batch in _batches(size):
        with ThreadPoolExecutor(2) as pool:
            pixels = np.stack(list(pool.map(partial(_by_pillow, shards, size.side_px), batch)))
        images = to_images(pixels)
        mirrored = torch.arange(len(batch)) % 2 == 1
        images[mirrored] = images[mirrored].flip(3)
        yield images


def _by_pillow(shards: ImageShards, side: int, index: int) -> Pixels:
    with Image.open(io.BytesIO(shards.samples.picture(index))) as file:
        file.draft("RGB", (2 * side, 2 * side))
        return np.array(file.convert("RGB"))
