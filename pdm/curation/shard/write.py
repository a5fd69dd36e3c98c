"""Writes one shard: reads its images from the raw tars, crops and encodes them, and describes it.

This runs on the workers. An image that cannot be decoded is left out and counted.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from pdm.config.stages.shard import ShardConfig
from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.crops import CropCache
from pdm.data.annotations import boxes as boxes_data
from pdm.data.annotations.captions import SEVERAL, TXT, as_lines, captions_of
from pdm.data.annotations.maps import EXTENSION, UNKNOWN, decode_map, encode_map, resize_map
from pdm.data.decisions import Row
from pdm.data.decoding.pixels import Box, Unreadable, decode
from pdm.data.decoding.resize import crop_and_resize
from pdm.data.pixels import Pixels
from pdm.data.shards.manifest import Shard
from pdm.data.shards.tars import read_at, write_tar

# The columns of a decision that are written beside its image. `num_bytes` is that of the source.
PROVENANCE = (
    *("key", "source", "url", "final_url", "retrieved_at", "sha256", "num_bytes"),
    *("caption", "licence", "author"),
)
MAPS = "maps"  # folder within the raw shards, see `pdm.curation.scrape.maps`
EXTENSIONS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
# Over 19 crops of 2048 x 1024 (7 photographs, 12 built-in landscapes) the means were 0.37 at JPEG
# quality 95, 1.23 and 0.74, the largest 0.75, 2.26 and 0.91. Photographs of foliage take most.
BYTES_PER_PIXEL = {"jpeg": 0.6, "png": 1.6, "webp": 1.0}
RECORD_BYTES = 3 * 1024  # a sample's record, two tar headers and padding


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A finished shard.

    Args:
        shard: Its entry of the manifest.
        failures: The images that could not be written: key -> why.
        num_cut: Crops that were cut; the others came from the cache.
        boxes: Counts of the boxes of its images.
    """

    shard: Shard
    failures: dict[str, str]
    num_cut: int
    boxes: BoxCounts


def write_shard(
    path: Path,
    rows: list[Row],
    split: str,
    raw: Path,
    config: ShardConfig,
    cache: CropCache | None,
    with_captions: bool,
    map_names: tuple[str, ...],
) -> WrittenShard:
    """Write the crops of `rows` (kept decisions, in key order) to the tar `path`.

    Crops in the cache are not cut again; new ones are stored there. `with_captions`: also write the
    captions of each, empty if it has none, since some readers want the same parts in every sample.
    `map_names`: also write the map of each, with the same crop; unknown everywhere if it has none.
    """
    failures: dict[str, str] = {}
    num_cut, counts = 0, BoxCounts()

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        nonlocal num_cut
        for row in rows:
            image = cache.look_up(row) if cache else None
            if image is None:
                try:
                    image = encode(cut_crop(row, raw), config)
                except Unreadable as error:
                    failures[row["key"]] = str(error)
                    continue
                num_cut += 1
                if cache:
                    cache.store(row, image)
            try:
                class_map = {EXTENSION: cut_map(row, raw, map_names)} if map_names else {}
                boxes = cut_boxes(row, counts)
            except Unreadable as error:
                failures[row["key"]] = str(error)
                continue
            facts = _provenance(row, split) | {"image_sha256": hashlib.sha256(image).hexdigest()}
            facts |= {} if boxes is None else {boxes_data.KEY: boxes}
            record = json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
            text = {TXT: as_lines(captions_of(row)).encode()} if with_captions else {}
            yield (
                row["key"],
                {EXTENSIONS[config.encoding]: image, "json": record} | text | class_map,
            )

    write_tar(path, samples())
    return WrittenShard(Shard.of(path, len(rows) - len(failures)), failures, num_cut, counts)


def estimate_bytes(rows: list[Row], config: ShardConfig) -> int:
    """Approximate size of the crops of `rows` on disk, rather too large than too small."""
    num_pixels: int = sum(row["target_width_px"] * row["target_height_px"] for row in rows)
    return round(BYTES_PER_PIXEL[config.encoding] * num_pixels) + RECORD_BYTES * len(rows)


def cut_crop(row: Row, raw: Path) -> Pixels:
    """The finished crop of a kept image, uint8 (target_height_px, target_width_px, 3).

    Raises:
        Unreadable: The bytes cannot be decoded, or are no longer those that were judged.
    """
    content = read_at(raw / row["tar"], row["offset"], row["size"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise Unreadable(f"the bytes in {row['tar']} are not those that were judged")
    pixels = decode(content, ImageColor.getrgb(row["background"])[:3])
    box = Box(*(row[f"crop_{name}_px"] for name in ("left", "top", "width", "height")))
    return crop_and_resize(pixels, box, row["target_width_px"], row["target_height_px"])


def cut_map(row: Row, raw: Path, names: tuple[str, ...]) -> bytes:
    """The finished crop of a kept image's map, as a PNG; unknown everywhere if it has no map.

    Raises:
        Unreadable: It cannot be decoded, has another size than its picture, or an index without a
            class.
    """
    path = raw / MAPS / f"{row['key']}.png"
    target = row["target_height_px"], row["target_width_px"]
    if not path.is_file():
        return encode_map(np.full(target, UNKNOWN, np.uint8))
    try:
        indices = decode_map(path.read_bytes(), names)
    except ValueError as error:
        raise Unreadable(f"its map cannot be used: {error}") from error
    size = row["width_px"], row["height_px"]
    if indices.shape != (size[1], size[0]):
        found = f"{indices.shape[1]}x{indices.shape[0]}"
        raise Unreadable(f"its map is {found}, but the image, upright, is {size[0]}x{size[1]}")
    left, top, width, height = (
        row[f"crop_{name}_px"] for name in ("left", "top", "width", "height")
    )
    return encode_map(resize_map(indices[top : top + height, left : left + width], *target))


def cut_boxes(row: Row, counts: BoxCounts) -> list[dict[str, Any]] | None:
    """The boxes of a kept image as shares of its crop, which are counted; None if it has none.

    Raises:
        Unreadable: They are not boxes, or reach out of the picture.
    """
    if row.get(boxes_data.KEY) is None:
        return None
    size = row["width_px"], row["height_px"]
    try:
        found = boxes_data.decode_boxes(row[boxes_data.KEY], size)
    except ValueError as error:
        raise Unreadable(f"its boxes cannot be used: {error}") from error
    kept, num_lost = boxes_data.crop_boxes(found, crop_edges(row))
    counts.add(kept, num_lost)
    return [box.as_record() for box in kept]


def crop_edges(row: Row) -> boxes_data.Edges:
    """The crop of a kept image, as shares of the upright source."""
    crop = [row[f"crop_{name}_px"] for name in ("left", "top", "width", "height")]
    return boxes_data.edges_of(crop, (row["width_px"], row["height_px"]))


def encode(crop: Pixels, config: ShardConfig) -> bytes:
    """Encode pixels (H, W, 3). JPEG keeps full colour resolution (4:4:4); WebP is lossless."""
    options: dict[str, Any] = {
        "jpeg": {"quality": config.jpeg_quality, "subsampling": 0},
        "png": {"compress_level": 6},
        "webp": {"lossless": True, "method": 4},
    }[config.encoding]
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, config.encoding, **options)
    return buffer.getvalue()


def _provenance(row: Row, split: str) -> dict[str, object]:
    stated = {} if row["class_name"] is None else {"class_name": row["class_name"]}
    if row.get(SEVERAL):
        stated[SEVERAL] = row[SEVERAL]
    return (
        {name: row[name] for name in PROVENANCE}
        | stated
        | {
            "split": split,
            "width_px": row["target_width_px"],
            "height_px": row["target_height_px"],
            "original_width_px": row["width_px"],
            "original_height_px": row["height_px"],
            "crop": {
                name: row[f"crop_{name}"] for name in ("left_px", "top_px", "width_px", "height_px")
            },
        }
    )
