"""Encoded pictures on disk: one safetensors file per shard, read by number without loading all.

    train-000000.safetensors     see `pdm.data.shards.latent_file`
    manifest.json                the files, and facts: level_shapes, level_downsamplings, digests
                                 of autoencoder and shards, mean and std by level

Latents are standardised by the autoencoder that wrote them; readers do not scale them.

Pictures of several sizes are in buckets, each with shards and level shapes of its own. They are
read bucket by bucket: `bucket_ranges` has the numbers of each bucket's pictures.
"""

import copy
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pdm.data.annotations import maps
from pdm.data.annotations.boxes import Layout
from pdm.data.annotations.classes import labels_of, names_of
from pdm.data.annotations.maps import ClassMap, decode_map
from pdm.data.pixels import Pixels
from pdm.data.shards import manifest
from pdm.data.shards.buckets import bucket_of_all, filled_buckets, has_buckets, ranges_of
from pdm.data.shards.latent_file import AGAIN, Packed, open_shard
from pdm.errors import BadInput, QualityGate
from pdm.models.levels.pyramid import Pyramid


class LatentShards:
    """Random access to one split of a folder of latents. The files are memory-mapped.

    Args:
        folder: Written by the stage `latents`.
        split: "train" or "val".

    Attributes:
        keys: Of the pictures.
        classes: Names of all classes of the data; empty if there are none.
        labels: (n,) int64, index of each picture's class; `len(classes)` without a class.
        captions: Of each picture; empty for one that has none.
        layouts: Of each picture; without boxes where the data have none.
        buckets: Those that have a picture in the split; one if all have one size.
        bucket_ranges: The numbers of the pictures of each.

    Raises:
        BadInput: There is no manifest, or it has no such split, or the split is empty.
        QualityGate: A shard is missing, damaged, or holds another number of pictures than stated.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.manifest = manifest.load(folder)
        if split not in self.manifest.splits or not self.manifest.num_samples(split):
            raise BadInput(f"{folder} has no latents in the split '{split}'; write it again")
        self.split = split
        self.classes = names_of(self.manifest.facts)
        self.keys: list[str] = []
        self.captions: list[tuple[str, ...]] = []
        self.layouts: list[Layout] = []
        class_names: list[str | None] = []
        self._shards: list[Pyramid] = []
        self._pictures: list[Packed | None] = []
        self._maps: list[Packed | None] = []
        starts = []
        self.buckets = filled_buckets(self.manifest, split)
        self.bucket_ranges = ranges_of(self.buckets, split)
        files = self.manifest.splits[split]
        for shard in (one for bucket in self.buckets for one in bucket.select(files)):
            opened = open_shard(folder / shard.name, shard.num_samples)
            starts.append(len(self.keys))
            self.keys += opened.keys
            class_names += opened.classes
            self.captions += opened.captions
            self.layouts += opened.layouts
            self._shards.append(opened.pyramid)
            self._pictures.append(opened.pictures)
            self._maps.append(opened.maps)
        self._starts = torch.tensor(starts)
        try:
            self.labels = labels_of(class_names, self.classes)
        except KeyError as error:
            raise QualityGate(f"{folder} holds the unlisted class {error}; {AGAIN}") from error

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def level_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(C, h, w) of each level, coarse to fine; of the main bucket, if there are several."""
        if has_buckets(self.manifest.facts):
            return tuple((c, h, w) for c, h, w in self.manifest.facts["level_shapes"])
        return self.shapes_in(0)

    def shapes_in(self, bucket: int) -> tuple[tuple[int, int, int], ...]:
        """(C, h, w) of each level of a bucket's pictures, coarse to fine."""
        pyramid = self._shards[self._shard_of(self.bucket_ranges[bucket].start)]
        return tuple((c, h, w) for _, c, h, w in (level.shape for level in pyramid))

    def only(self, bucket: int) -> "LatentShards":
        """The pictures of one bucket, numbered from 0."""
        if len(self.buckets) == 1:
            return self
        numbers = self.bucket_ranges[bucket]
        first, last = self._shard_of(numbers.start), self._shard_of(numbers.stop - 1) + 1
        one = copy.copy(self)
        one.buckets, one.bucket_ranges = [self.buckets[bucket]], [range(len(numbers))]
        pictures, shards = slice(numbers.start, numbers.stop), slice(first, last)
        one.keys, one.captions = self.keys[pictures], self.captions[pictures]
        one.layouts = self.layouts[pictures]
        one.labels, one._shards = self.labels[pictures], self._shards[shards]
        one._pictures, one._maps = self._pictures[shards], self._maps[shards]
        one._starts = self._starts[shards] - numbers.start
        return one

    def of_main_size(self) -> "LatentShards":
        """The pictures of the main size: all, if there is one.

        Raises:
            BadInput: There are several, and the split has no picture of the main one.
        """
        main = tuple(self.manifest.facts.get(f"image_{side}_px") for side in ("width", "height"))
        for place, bucket in enumerate(self.buckets):
            if not has_buckets(self.manifest.facts) or bucket.size == main:
                return self.only(place)
        raise BadInput(
            f"the split '{self.split}' has no image of the main size (trained on at "
            f"{main[0]}x{main[1]}), which previews and scores are drawn at; take another bucket as "
            "curate.width_px and height_px, or more images"
        )

    def _shard_of(self, index: int) -> int:
        return int(torch.searchsorted(self._starts, index, right=True)) - 1

    @property
    def has_pictures(self) -> bool:
        """Whether the pictures were kept, see `picture`."""
        return None not in self._pictures

    def picture(self, index: int) -> Pixels:
        """Picture number `index` as it was encoded, uint8 (H, W, 3): mirrored, if its latents are.

        Raises:
            QualityGate: The pictures were not kept, or it cannot be decoded.
        """
        png, mirrored = self._packed(self._pictures, index, "images (latents.keep_pictures)")
        try:
            with Image.open(io.BytesIO(png)) as file:
                pixels = np.array(file.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise QualityGate(
                f"image {self.keys[index]} of the latents ({error}); {AGAIN}"
            ) from error
        return pixels[:, ::-1].copy() if mirrored else pixels

    def class_map(self, index: int) -> ClassMap:
        """The map of picture number `index`, uint8 (H, W): mirrored, if its latents are.

        Raises:
            QualityGate: The data have no maps, or it cannot be decoded.
        """
        png, mirrored = self._packed(self._maps, index, "maps")
        try:
            indices = decode_map(png, maps.names_of(self.manifest.facts))
        except ValueError as error:
            raise QualityGate(f"the map of {self.keys[index]}: {error}; {AGAIN}") from error
        return indices[:, ::-1].copy() if mirrored else indices

    def _packed(self, packed: Sequence[Packed | None], index: int, what: str) -> tuple[bytes, bool]:
        """Return the file of a picture, and whether its latents are of the mirrored copy."""
        shard = self._shard_of(index)
        kept, row = packed[shard], index - int(self._starts[shard])
        if kept is None:
            raise QualityGate(f"the latents have no {what}; {AGAIN}")
        content, ends = kept
        number = row % len(ends)
        start = int(ends[number - 1]) if number else 0
        return content[start : int(ends[number])].numpy().tobytes(), row >= len(ends)

    def batch(self, indices: Sequence[int]) -> Pyramid:
        """The latents of these pictures, in this order: levels (len(indices), C, h, w), float32.

        Raises:
            ValueError: They are of several buckets, and so have no common shape.
        """
        index = torch.as_tensor(indices)
        shards = torch.searchsorted(self._starts, index, right=True) - 1
        bucket = bucket_of_all(self.bucket_ranges, indices)
        pyramid = tuple(torch.empty(len(index), *shape) for shape in self.shapes_in(bucket))
        for number in sorted(set(shards.tolist())):
            places = (shards == number).nonzero()[:, 0]
            rows = index[places] - self._starts[number]
            for level, stored in zip(pyramid, self._shards[number], strict=True):
                level[places] = stored[rows].float()
        return pyramid
