"""Random access to the images of finished shards, at any smaller size.

    shards = ImageShards(Path("data/shards"), "train")
    shards.keys[3], shards.load(3, 64, 128)  # key, uint8 (64, 128, 3) RGB
    shards.reduced(64, 128)  # all of them, uint8 (N, 64, 128, 3), for sizes that fit in memory

Images are in the order of the manifest's buckets and shards and, within a shard, of the tar: the
same on every machine. They are scaled down with antialiasing: by the JPEG decoder to no less than
twice the wanted size, then with a Lanczos filter.

Where the data have several sizes (buckets), the wanted size is that of the main one. Pictures of
the others are reduced by the same factor, so that none is squeezed, and a batch has pictures of one
bucket only. `bucket_ranges` has the numbers of each bucket's pictures.
"""

import io
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pdm.config.buckets import Size, training_size
from pdm.data.annotations.maps import ClassMap, decode_map, names_of, resize_map
from pdm.data.decoding import turbo
from pdm.data.pixels import Pixels
from pdm.data.shards import manifest
from pdm.data.shards.buckets import bucket_of_all, filled_buckets, has_buckets, ranges_of
from pdm.data.shards.locations import damaged
from pdm.data.shards.samples import Samples
from pdm.errors import BadInput
from pdm.machine.limits import usable_cpus, usable_memory
from pdm.progress import Progress


class ImageShards:
    """Index over one split of a folder of shards.

    Args:
        folder: Written by the stage `shard`.
        split: "train" or "val".
        check_every: The sha256 of every n-th image is checked when it is read.
        only: Width and height of the only bucket to open; the wanted size is then its own.

    Raises:
        BadInput: There is no manifest, or it has no such split, or the split is empty.
        QualityGate: A shard is missing, damaged, or has another number of images than the manifest.
    """

    def __init__(
        self, folder: Path, split: str, check_every: int = 1, only: Size | None = None
    ) -> None:
        self.manifest = manifest.load(folder)
        if split not in self.manifest.splits or not self.manifest.num_samples(split):
            raise BadInput(f"{folder} has no images in the split '{split}'; write it again")
        self.split = split
        self.buckets = [
            bucket
            for bucket in filled_buckets(self.manifest, split)
            if only is None or bucket.size == only
        ]
        if not self.buckets:
            raise BadInput(f"{folder} has no images of {only} in the split '{split}'")
        files = self.manifest.splits[split]
        self.shards = [shard for bucket in self.buckets for shard in bucket.select(files)]
        self.samples = Samples(folder, self.shards, check_every)
        self.keys = self.samples.keys
        self.bucket_ranges = ranges_of(self.buckets, split)
        self._wants_own_size = only is not None or not has_buckets(self.manifest.facts)
        self._main = (
            self.manifest.facts.get("width_px", 0),
            self.manifest.facts.get("height_px", 0),
        )
        self._reduced: dict[tuple[int, int, int], Pixels] = {}  # by height, width and bucket

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def in_turn(self) -> list[int]:
        """The numbers of all images, one from each bucket in turn."""
        turns = itertools.zip_longest(*self.bucket_ranges)
        return [number for turn in turns for number in turn if number is not None]

    def bucket_of(self, index: int) -> int:
        """The place in `buckets` of the bucket of image number `index`."""
        return bucket_of_all(self.bucket_ranges, [index])

    def size_in(self, bucket: int, height: int, width: int) -> tuple[int, int]:
        """Height and width of the pictures of a bucket, where those of the main one have these."""
        if self._wants_own_size:
            return height, width
        size = training_size(self.buckets[bucket].size, self._main, (width, height))
        return size[1], size[0]

    def load(self, index: int, height: int, width: int) -> Pixels:
        """Image number `index`, scaled down to uint8 (height, width, 3) RGB, or to the size of its
        bucket.

        Raises:
            QualityGate: Its bytes have changed, or cannot be decoded; the text names shard and key.
        """
        content = self.samples.picture(index)
        height, width = self.size_in(self.bucket_of(index), height, width)
        try:
            with Image.open(io.BytesIO(content)) as file:
                if file.size == (width, height) and turbo.can_decode(file, content):
                    return turbo.decode(content, file.size, 1)
                file.draft("RGB", (2 * width, 2 * height))
                image = file.convert("RGB")
                if image.size != (width, height):
                    image = image.resize((width, height), Image.Resampling.LANCZOS)
                return np.array(image)  # a copy: torch wants to own it
        except (OSError, ValueError, SyntaxError) as error:
            fault = f"holds {self.keys[index]}, whose image cannot be decoded ({error})"
            raise damaged(self.samples.path(index), fault) from error

    def class_map(self, index: int, height: int, width: int) -> ClassMap:
        """The map of image number `index`, at any size, as `load`: the nearest pixels, uint8
        (height, width).

        Raises:
            QualityGate: It has none, or it cannot be decoded.
        """
        try:
            indices = decode_map(self.samples.class_map(index), names_of(self.manifest.facts))
        except ValueError as error:
            fault = f"the map of {self.keys[index]} cannot be used ({error})"
            raise damaged(self.samples.path(index), fault) from error
        return resize_map(indices, *self.size_in(self.bucket_of(index), height, width))

    def record(self, index: int) -> dict[str, Any]:
        """The record of image number `index`: url, licence, crop box, ...

        Raises:
            QualityGate: It has no record, or one that is not JSON.
        """
        return self.samples.record(index)

    def reduced(self, height: int, width: int, bucket: int = 0) -> Pixels:
        """All images of a bucket at one size, (N, height, width, 3); kept for the next call.

        Needs N x height x width x 3 bytes of memory.
        """
        place = (height, width, bucket)
        if place not in self._reduced:
            self._reduced[place] = self._read(*place)
        return self._reduced[place]

    def _read(self, height: int, width: int, bucket: int) -> Pixels:
        """Read all images of a bucket."""
        numbers, size = self.bucket_ranges[bucket], self.size_in(bucket, height, width)
        pictures = np.empty((len(numbers), *size, 3), dtype=np.uint8)
        progress = Progress(f"reading {self.split} at {size[1]}x{size[0]}", len(numbers))

        def place(number: int) -> None:
            pictures[number] = self.load(numbers[number], height, width)

        for _ in _decoders().map(place, range(len(numbers))):
            progress.advance()
        return pictures

    def batch(self, indices: Sequence[int], height: int, width: int) -> Pixels:
        """Some images of one bucket, (len(indices), height, width, 3).

        From memory if the whole split fits in a quarter of the memory that is free for this
        process (`pdm.machine.limits`), else from disk.

        Raises:
            ValueError: They are of several buckets.
        """
        if _fits(self, height, width):
            bucket = bucket_of_all(self.bucket_ranges, indices)
            start = self.bucket_ranges[bucket].start
            chosen: Pixels = self.reduced(height, width, bucket)[np.asarray(indices) - start]
            return chosen
        return self.decoded(indices, height, width)

    def decoded(self, indices: Sequence[int], height: int, width: int) -> Pixels:
        """Some images of one bucket, (len(indices), height, width, 3), from disk; decoded on all
        cores that this process may use."""
        size = self.size_in(bucket_of_all(self.bucket_ranges, indices), height, width)
        pixels = np.empty((len(indices), *size, 3), dtype=np.uint8)

        def place(number: int) -> None:
            pixels[number] = self.load(indices[number], height, width)

        list(_decoders().map(place, range(len(indices))))
        return pixels

    def num_bytes(self, height: int, width: int) -> int:
        """The memory that `reduced` needs, for all buckets."""
        sizes = [self.size_in(bucket, height, width) for bucket in range(len(self.buckets))]
        return sum(
            3 * len(numbers) * across * down
            for numbers, (down, across) in zip(self.bucket_ranges, sizes, strict=True)
        )


@lru_cache(maxsize=16)
def _fits(shards: ImageShards, height: int, width: int) -> bool:
    # Cached, because the free memory changes as soon as the images are read.
    return shards.num_bytes(height, width) <= usable_memory() // 4


@cache
def _decoders() -> ThreadPoolExecutor:
    """Threads that decode, for as long as the process lives: one for each core that it may use.

    Pillow and libjpeg-turbo decode and resize without the interpreter's lock.
    """
    return ThreadPoolExecutor(usable_cpus(), "decoder")
