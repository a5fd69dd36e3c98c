"""Encodes the images of the stage `latents` shard by shard. While a batch is encoded, the next
ones are read and the shard before is written."""

import dataclasses
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from pdm.config.stages.latents import LatentsConfig
from pdm.data.annotations.boxes import layout_of_sample
from pdm.data.annotations.captions import captions_of
from pdm.data.annotations.maps import encode_map, names_of
from pdm.data.image_tensors import to_images
from pdm.data.pixels import Pixels
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latent_file import write_shard
from pdm.errors import QualityGate
from pdm.machine.device import choose_device, log_device
from pdm.machine.threads import side_thread
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.parallel.part_folder import PartFolder
from pdm.registry import load_autoencoder

MIRRORED = "-mirrored"  # suffix of the key of a mirrored copy
BATCHES_AHEAD = 2  # read while one is encoded
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EncodeTask:
    """Everything that a worker needs. Paths are absolute."""

    config: LatentsConfig
    shards: Path
    autoencoder: Path
    folder: PartFolder
    size: tuple[int, int]  # height and width at which images (of the main size) are encoded
    with_classes: bool
    with_captions: bool
    with_boxes: bool


class ShardPart(NamedTuple):
    """One shard of images, which gives one shard of latents."""

    split: str
    indices: range  # of its images in the split
    crop_size: tuple[int, int]  # width and height of its images in the shards


def parts_of(splits: dict[str, ImageShards]) -> dict[str, ShardPart]:
    """Name the parts after their shards: train first, then val."""
    parts = {}
    for split, images in splits.items():
        start = 0
        for shard in images.shards:
            indices = range(start, start + shard.num_samples)
            crop_size = images.buckets[images.bucket_of(start)].size
            parts[Path(shard.name).stem] = ShardPart(split, indices, crop_size)
            start = indices.stop
    return parts


def open_splits(shards: Path) -> dict[str, ImageShards]:
    """Open the splits that are encoded."""
    return {split: ImageShards(shards, split) for split in ("train", "val")}


def num_copies(config: LatentsConfig, split: str) -> int:
    """How often each image of a split is encoded."""
    return 1 + (config.flipped_copies and split == "train")


def encode_parts(task: EncodeTask, names: Sequence[str], on_done: Callable[[str], None]) -> None:
    """Encode some shards, and call `on_done` after each."""
    splits = open_splits(task.shards)
    every = parts_of(splits)
    parts = {name: every[name] for name in names}
    device = choose_device()
    log_device(device)
    model = load_autoencoder(task.autoencoder).to(device)

    batches = _read_ahead(splits, list(parts.values()), task)
    with side_thread("writer") as writer:
        before: Future[str] | None = None
        for name, part in parts.items():
            images = splits[part.split]
            size = images.size_in(images.bucket_of(part.indices.start), *task.size)
            pyramid, pictures = _encode_shard(model, part, batches, task, size)
            current = writer.submit(_write, task, name, part, images, pyramid, pictures)
            if before:
                on_done(before.result())
            before = current
        if before:
            on_done(before.result())


def _read_ahead(
    splits: dict[str, ImageShards], parts: Sequence[ShardPart], task: EncodeTask
) -> Iterator[Pixels]:
    """Yield the images of all parts, batch by batch, while the next batches are read.

    Each is read once, so none is kept: `ImageShards.batch` would read the whole split into the
    memory of every worker, whatever its share.
    """
    with side_thread("reader") as reader:
        coming: deque[Future[Pixels]] = deque()
        for part in parts:
            for batch in _batches(part, task.config.batch_size):
                coming.append(reader.submit(splits[part.split].decoded, batch, *task.size))
                if len(coming) > BATCHES_AHEAD:
                    yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


def _batches(part: ShardPart, batch_size: int) -> Iterator[range]:
    for start in range(0, len(part.indices), batch_size):
        yield part.indices[start : start + batch_size]


@torch.no_grad()
def _encode_shard(
    model: Autoencoder,
    part: ShardPart,
    batches: Iterator[Pixels],
    task: EncodeTask,
    size: tuple[int, int],
) -> tuple[Pyramid, list[bytes] | None]:
    """Encode the images of a shard: first the originals, then their mirrored copies.

    If the originals are to be kept, they come as PNGs.
    """
    count, copies = len(part.indices), num_copies(task.config, part.split)
    shapes = model.level_shapes(*size)
    pyramid = tuple(torch.empty(copies * count, *shape) for shape in shapes)
    device = next(model.parameters()).device
    kept: list[bytes] | None = [] if task.config.keep_pictures else None
    for batch in _batches(part, task.config.batch_size):
        pixels = next(batches)
        if kept is not None:
            kept += map(_png, pixels)
        images = to_images(pixels, device)
        start = batch.start - part.indices.start
        for copy in range(copies):
            found = model.encode(images.flip(3) if copy else images)
            _place(found, pyramid, copy * count + start)
    return pyramid, kept


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _place(found: Pyramid, pyramid: Pyramid, start: int) -> None:
    for level, (values, target) in enumerate(zip(found, pyramid, strict=True)):
        if not values.isfinite().all():
            raise QualityGate(
                f"latents of level {level} are not finite; train the autoencoder again on these "
                "shards"
            )
        target[start : start + len(values)] = values.cpu()


def _write(
    task: EncodeTask,
    name: str,
    part: ShardPart,
    images: ImageShards,
    pyramid: Pyramid,
    pictures: list[bytes] | None,
) -> str:
    """Write a shard of latents, and record it with its entry of the manifest and the sums of its
    levels. Return its name."""
    copies = num_copies(task.config, part.split)
    suffixes = ("", MIRRORED)[:copies]
    keys = [images.keys[index] + suffix for suffix in suffixes for index in part.indices]
    classes, captions, layouts = None, None, None
    if task.with_classes:
        classes = [images.record(index).get("class_name") for index in part.indices] * copies
    if task.with_captions:
        captions = [captions_of(images.record(index)) for index in part.indices] * copies
    if task.with_boxes:
        layouts = [layout_of_sample(images.record(index)) for index in part.indices]
        layouts += [layout.mirrored() for layout in layouts * (copies - 1)]
    sums = [sums_of(level).tolist() for level in pyramid]
    dtype = DTYPES[task.config.storage]
    class_maps = None
    if names_of(images.manifest.facts):
        class_maps = [encode_map(images.class_map(index, *task.size)) for index in part.indices]
    path = task.folder.files / f"{name}.safetensors"
    shard = write_shard(
        path, keys, pyramid, classes, dtype, captions, pictures, class_maps, layouts
    )
    task.folder.finish(name, {"shard": dataclasses.astuple(shard), "sums": sums})
    return name


def sums_of(level: Tensor) -> Tensor:
    """Number of values, their sum and the sum of their squares, (3,) float64."""
    values = level.double()
    count = torch.tensor(float(values.numel()))
    return torch.stack([count, values.sum(), values.square().sum()])
