"""What stands beside the shards: listing, data card, Croissant file, index and manifest."""

from pathlib import Path
from typing import Any

from pdm.config.buckets import bucket_name
from pdm.config.stages.shard import ShardConfig
from pdm.curation.shard import croissant
from pdm.curation.shard.box_counts import BoxCounts, fact_of
from pdm.curation.shard.card import data_card
from pdm.curation.shard.split import TRAIN, VAL
from pdm.curation.shard.write import EXTENSIONS, WrittenShard, crop_edges
from pdm.data.annotations import boxes, captions, classes, maps
from pdm.data.annotations.captions import captions_of
from pdm.data.decisions import Row
from pdm.data.shards import buckets, listing
from pdm.data.shards.listing import Listed
from pdm.data.shards.locations import write_index
from pdm.data.shards.manifest import Manifest, Shard
from pdm.errors import QualityGate
from pdm.files import sha256_of, write_json, write_text

Place = tuple[str, str, int]  # split, name of the bucket (empty if there are none), number


def write_metadata(
    folder: Path,
    written: dict[Place, WrittenShard],
    crop_rows: list[Row],
    splits: dict[str, str],
    config: ShardConfig,
    limits: dict[str, Any],
    map_names: tuple[str, ...],
    box_counts: BoxCounts,
) -> Manifest:
    """Write all files beside the shards, the manifest last.

    Args:
        folder: Of the shards.
        written: By place; an empty shard is removed.
        crop_rows: Decisions on the images that are in them, in key order.
        splits: Split of each kept image, by key.
        config: Encoding.
        limits: Section `curate` of the params of the decisions.
        map_names: Classes of the maps; empty without maps.
        box_counts: Of all shards.

    Raises:
        QualityGate: A split has no image, or none of the main size.
    """
    listing.write(
        folder, (Listed(row["key"], row["sha256"], splits[row["key"]]) for row in crop_rows)
    )
    digest = sha256_of(folder / listing.FILE_NAME)
    manifest = _build_manifest(written, crop_rows, config, limits, digest, map_names, box_counts)
    for one in written.values():
        if not one.shard.num_samples:
            (folder / one.shard.name).unlink()
    write_text(folder / "README.md", data_card(manifest, crop_rows, box_counts))
    write_json(folder / croissant.FILE_NAME, croissant.describe_shards(manifest, crop_rows))
    write_index(folder, manifest)
    manifest.save(folder)
    return manifest


def _build_manifest(
    written: dict[Place, WrittenShard],
    crop_rows: list[Row],
    config: ShardConfig,
    limits: dict[str, Any],
    pictures_sha256: str,
    map_names: tuple[str, ...],
    box_counts: BoxCounts,
) -> Manifest:
    splits: dict[str, list[Shard]] = {TRAIN: [], VAL: []}
    for (split, _, _), one in written.items():
        splits[split] += [one.shard] if one.shard.num_samples else []
    for split, files in splits.items():
        if not files:
            raise QualityGate(
                f"the split '{split}' has no image ({len(crop_rows)} crops in all): keep more "
                "images (section curate, or more sources). Nothing was written."
            )
    facts = {
        "width_px": limits["width_px"],
        "height_px": limits["height_px"],
        "encoding": config.encoding,
        "extension": EXTENSIONS[config.encoding],
        "pictures_sha256": pictures_sha256,
    }
    if "buckets" in limits:
        facts[buckets.FACT] = _describe_buckets(written, limits["buckets"])
        buckets.check_main_size(facts)
    names = {row["class_name"] for row in crop_rows} - {None}
    if names:
        facts[classes.FACT] = sorted(names)
    if num_captioned := sum(bool(captions_of(row)) for row in crop_rows):
        facts[captions.FACT] = num_captioned
    if map_names:
        facts[maps.FACT] = map_names
    if box_counts.num_boxes:
        facts[boxes.FACT] = fact_of(box_counts, map(crop_edges, crop_rows))
    return Manifest(splits, facts)


def _describe_buckets(
    written: dict[Place, WrittenShard], sizes: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    """Describe each bucket, even one without a picture, with its shards and their samples."""
    shards = {place: one.shard for place, one in sorted(written.items()) if one.shard.num_samples}
    return [
        buckets.describe(
            (width, height),
            {
                split: [
                    shard
                    for (of, name, _), shard in shards.items()
                    if (of, name) == (split, bucket_name((width, height)))
                ]
                for split in (TRAIN, VAL)
            },
        )
        for width, height in sizes
    ]
