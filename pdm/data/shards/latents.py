"""Encoded pictures on disk: one safetensors file per shard, read by number without loading all.

    train-000000.safetensors     level0 ... levelN, each (n, C, h, w), coarse to fine, float32
                                 or as `latents.storage` says;
                                 the metadata has the n keys as a JSON list, and, if any picture
                                 has a class, the classes (null: none); captions as well, a list
                                 for each picture; where pictures are kept, `pictures` has their
                                 PNGs one after another, uint8, and `picture_ends` where each ends;
                                 there are as many as originals, which come before their mirrored
                                 copies; likewise `maps` and `map_ends`, if the pictures have maps
    manifest.json                the files, and facts: level_shapes, level_downsamplings, digests
                                 of autoencoder and shards, mean and std by level

Latents are standardised by the autoencoder that wrote them; readers do not scale them.

Pictures of several sizes are in buckets, each with shards and level shapes of its own. They are
read bucket by bucket: `bucket_ranges` has the numbers of each bucket's pictures.
"""

import copy
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdm.data import maps
from pdm.data.classes import labels_of, names_of
from pdm.data.maps import ClassMap, decode_map
from pdm.data.pixels import Pixels
from pdm.data.shards import manifest
from pdm.data.shards.buckets import bucket_of_all, filled_buckets, has_buckets, ranges_of
from pdm.errors import BadInput, QualityGate
from pdm.files import atomic_file
from pdm.models.levels.pyramid import Pyramid

Packed = tuple[Tensor, Tensor]  # the bytes of all files, and where each ends


def write_shard(
    path: Path,
    keys: Sequence[str],
    pyramid: Pyramid,
    classes: Sequence[str | None] | None = None,
    dtype: torch.dtype = torch.float32,
    captions: Sequence[Sequence[str]] | None = None,
    pictures: Sequence[bytes] | None = None,
    maps: Sequence[bytes] | None = None,
) -> manifest.Shard:
    """Write one shard atomically; equal latents give equal bytes.

    Args:
        path: Replaced if it exists.
        keys: One for each picture.
        pyramid: Levels (n, C, h, w), coarse to fine.
        classes: One for each picture; None where no picture of the data has a class.
        dtype: Of the values on disk; readers get float32.
        captions: Of each picture; None where no picture of the data has any.
        pictures: PNGs of what was encoded, one for each original; None keeps none.
        maps: PNGs of their maps, of the same size; None where the data have no maps.
    """
    metadata = {"keys": json.dumps(list(keys))}
    if classes is not None:
        metadata["classes"] = json.dumps(list(classes))
    if captions is not None:
        metadata["captions"] = json.dumps([list(texts) for texts in captions], ensure_ascii=False)
    tensors = {f"level{i}": level.cpu().to(dtype).contiguous() for i, level in enumerate(pyramid)}
    if pictures is not None:
        tensors |= _pack("picture", pictures)
    if maps is not None:
        tensors |= _pack("map", maps)
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return manifest.Shard.of(path, len(keys))


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
        class_names: list[str | None] = []
        self._shards: list[Pyramid] = []
        self._pictures: list[Packed | None] = []
        self._maps: list[Packed | None] = []
        starts = []
        self.buckets = filled_buckets(self.manifest, split)
        self.bucket_ranges = ranges_of(self.buckets, split)
        files = self.manifest.splits[split]
        for shard in (one for bucket in self.buckets for one in bucket.select(files)):
            keys, classes, captions, pyramid, pictures, maps = _open(
                folder / shard.name, shard.num_samples
            )
            starts.append(len(self.keys))
            self.keys += keys
            class_names += classes
            self.captions += captions
            self._shards.append(pyramid)
            self._pictures.append(pictures)
            self._maps.append(maps)
        self._starts = torch.tensor(starts)
        try:
            self.labels = labels_of(class_names, self.classes)
        except KeyError as error:
            raise QualityGate(f"{folder} holds the unlisted class {error}; {_AGAIN}") from error

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
            f"the split '{self.split}' has no picture of the main size (trained on at "
            f"{main[0]}x{main[1]}), which previews and scores are drawn at; take another bucket as "
            "curate.width_px and height_px, or more pictures"
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
        png, mirrored = self._packed(self._pictures, index, "pictures (latents.keep_pictures)")
        try:
            with Image.open(io.BytesIO(png)) as file:
                pixels = np.array(file.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise QualityGate(
                f"picture {self.keys[index]} of the latents ({error}); {_AGAIN}"
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
            raise QualityGate(f"the map of {self.keys[index]}: {error}; {_AGAIN}") from error
        return indices[:, ::-1].copy() if mirrored else indices

    def _packed(self, packed: Sequence[Packed | None], index: int, what: str) -> tuple[bytes, bool]:
        """Give the file of a picture, and whether its latents are of the mirrored copy."""
        shard = self._shard_of(index)
        kept, row = packed[shard], index - int(self._starts[shard])
        if kept is None:
            raise QualityGate(f"the latents have no {what}; {_AGAIN}")
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


def _pack(name: str, contents: Sequence[bytes]) -> dict[str, Tensor]:
    """Pack files into one tensor of bytes, and one of where each ends."""
    joined = np.frombuffer(b"".join(contents), dtype=np.uint8).copy()
    ends = torch.tensor([len(content) for content in contents]).cumsum(0)
    return {f"{name}s": torch.from_numpy(joined), f"{name}_ends": ends}


class _Opened(NamedTuple):
    """The content of a shard."""

    keys: list[str]
    classes: list[str | None]
    captions: list[tuple[str, ...]]
    pyramid: Pyramid
    pictures: Packed | None
    maps: Packed | None


def _open(path: Path, num_samples: int) -> _Opened:
    try:
        with safe_open(path, framework="pt") as file:
            keys = json.loads(file.metadata()["keys"])
            classes = json.loads(file.metadata().get("classes", "null")) or [None] * len(keys)
            texts = json.loads(file.metadata().get("captions", "null")) or [()] * len(keys)
            captions = [tuple(each) for each in texts]
            names = set(file.keys())
            num_levels = sum(name.startswith("level") for name in names)
            pyramid = tuple(file.get_tensor(f"level{i}") for i in range(num_levels))
            pictures, maps = (
                (file.get_tensor(f"{name}s"), file.get_tensor(f"{name}_ends"))
                if f"{name}s" in names
                else None
                for name in ("picture", "map")
            )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise QualityGate(f"{path} cannot be read ({error}); {_AGAIN}") from error
    counts = {len(keys), len(classes), len(captions), *(len(level) for level in pyramid)}
    if counts != {num_samples}:
        raise QualityGate(
            f"{path} holds {sorted(counts)} latents where the manifest says {num_samples}; {_AGAIN}"
        )
    return _Opened(keys, classes, captions, pyramid, pictures, maps)


_AGAIN = "write the latents again (stage 'latents')"
