"""Encodes the shards that no earlier run has encoded, and writes their manifest."""

import dataclasses
import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import torch

from pdm.config.buckets import training_size
from pdm.config.stages.latents import LatentsConfig
from pdm.counts import counted
from pdm.data.annotations import boxes, captions, classes, maps
from pdm.data.shards import buckets, listing, manifest
from pdm.data.shards.buckets import buckets_of, has_buckets
from pdm.data.shards.images import ImageShards
from pdm.data.space import disk_space_for
from pdm.errors import QualityGate
from pdm.files import sha256_of
from pdm.inference.encode.parts import (
    DTYPES,
    EncodeTask,
    ShardPart,
    encode_parts,
    num_copies,
    open_splits,
    parts_of,
)
from pdm.inference.encode.statistics import LatentStatistics
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.parallel.part_folder import PartFolder, part_folder
from pdm.parallel.run import run_parts
from pdm.progress import Progress
from pdm.registry import load_autoencoder
from pdm.versions import versions

logger = logging.getLogger(__name__)


def encode_shards(
    config: LatentsConfig,
    *,
    shards: Path,
    autoencoder: Path,
    latents: Path,
    num_workers: int | None = None,
) -> None:
    """Write the latents of the splits train, with mirrored copies if configured, and val.

    Each shard is written when it is encoded, to a folder beside `latents`. After a kill, the same
    command encodes the missing ones; the result is that of an unbroken run.

    Args:
        config: Section `latents` of the params.
        shards: Written by the stage `shard`.
        autoencoder: Model folder; images are encoded at its training size.
        latents: Folder to write, with one shard of latents for each shard of images; on one
            machine, equal inputs give equal bytes.
        num_workers: See `pdm.parallel.run.run_parts`.

    Raises:
        BadInput, QualityGate: Shards or model are missing or damaged.
        Unavailable: The disk is too full for the latents, or workers were lost.
        QualityGate: A level's latents are not finite, or far from standardised. Nothing is written.
    """
    record = record_of(autoencoder)
    size = (record["image_height_px"], record["image_width_px"])
    splits = open_splits(shards)
    known = splits["train"].manifest.facts
    model = load_autoencoder(autoencoder)
    facts = _facts_of_latents(config, model, splits, size) | {
        "autoencoder_sha256": sha256_of(autoencoder / "model.safetensors"),
        "shards_sha256": manifest.digest(shards),
    }
    parts = parts_of(splits)
    counts = {
        name: num_copies(config, part.split) * len(part.indices) for name, part in parts.items()
    }
    with part_folder(latents, _key(config, facts)) as folder:
        task = EncodeTask(
            config=config,
            shards=shards.absolute(),
            autoencoder=autoencoder.absolute(),
            folder=folder.absolute(),
            size=size,
            with_classes=bool(classes.names_of(known)),
            with_captions=captions.FACT in known,
            with_boxes=boxes.FACT in known,
        )
        _encode_missing(task, counts, model, latents, num_workers)
        _publish(folder, parts, facts, shards)


def _facts_of_latents(
    config: LatentsConfig,
    model: Autoencoder,
    splits: dict[str, ImageShards],
    size: tuple[int, int],
) -> dict[str, Any]:
    """What the manifest says about the latents, and takes over about their images.

    Args:
        config: Section `latents` of the params.
        model: The autoencoder.
        splits: Of the images.
        size: (H, W) at which images of the main size are encoded.
    """
    known = splits["train"].manifest.facts
    names = classes.names_of(known)
    return {
        "level_shapes": model.level_shapes(*size),
        "level_downsamplings": model.level_downsamplings,
        "image_height_px": size[0],
        "image_width_px": size[1],
        **({classes.FACT: names} if names else {}),
        **{fact: known[fact] for fact in (maps.FACT, captions.FACT, boxes.FACT) if fact in known},
        **({buckets.FACT: _describe_buckets(splits, model, size)} if has_buckets(known) else {}),
        **({} if config.storage == "float32" else {"storage": config.storage}),
    }


def _key(config: LatentsConfig, facts: dict[str, Any]) -> str:
    """Digest of everything that the latents depend on."""
    depends = [dataclasses.asdict(config), facts, versions()["latents"]]
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def _encode_missing(
    task: EncodeTask,
    counts: dict[str, int],
    model: Autoencoder,
    latents: Path,
    num_workers: int | None,
) -> None:
    """Encode the shards that no earlier run has finished. `counts` has the latents of each."""
    total, done = sum(counts.values()), task.folder.done()
    num_done = sum(count for name, count in counts.items() if name in done)
    if num_done:
        logger.info(
            "latents: continuing where an earlier run stopped: %s there",
            counted(num_done, "latent is", "latents are"),
        )
    progress = Progress("latents", total, done=num_done)
    values = sum(math.prod(shape) for shape in model.level_shapes(*task.size))
    num_bytes = DTYPES[task.config.storage].itemsize * values * (total - num_done)
    if task.config.keep_pictures:  # PNGs of photographs take about half of their pixels' bytes
        num_bytes += 3 * math.prod(task.size) // 2 * (total - num_done)
    with disk_space_for(latents, num_bytes):
        run_parts(
            encode_parts,
            task,
            list(counts),
            folder=task.folder,
            on_done=lambda name: progress.advance(counts[name]),
            num_workers=num_workers,
        )


def _publish(
    folder: PartFolder, parts: dict[str, ShardPart], facts: dict[str, Any], shards: Path
) -> None:
    """Write what stands beside the shards.

    Raises:
        QualityGate: A level is far from standardised; all parts are removed.
    """
    written: dict[str, list[manifest.Shard]] = {"train": [], "val": []}
    shard_of: dict[str, manifest.Shard] = {}
    statistics = LatentStatistics(len(facts["level_shapes"]))
    for name, part in parts.items():
        record = folder.record_of(name)
        shard_of[name] = manifest.Shard(*record["shard"])
        written[part.split].append(shard_of[name])
        if part.split == "train":
            statistics.add_sums(torch.tensor(record["sums"], dtype=torch.float64))
    try:
        means, stds = statistics.check()
    except QualityGate:
        folder.discard()
        raise
    listing.copy(shards, folder.files)
    levels = {"level_means": means, "level_stds": stds}
    counted = _count_buckets(facts, parts, shard_of)
    manifest.Manifest(written, facts | levels | counted).save(folder.files)
    logger.info("latents: std by level, coarse to fine: %s", ", ".join(f"{s:.3f}" for s in stds))


def _describe_buckets(
    splits: dict[str, ImageShards], model: Autoencoder, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """The size at which each bucket is encoded, and the shapes of its levels; not yet its shards.

    Args:
        splits: Of the images.
        model: The autoencoder.
        size: (H, W) at which images of the main size are encoded.
    """
    listed = splits["train"].manifest
    main = (listed.facts["width_px"], listed.facts["height_px"])
    entries = []
    for bucket in buckets_of(listed):
        width, height = training_size(bucket.size, main, (size[1], size[0]))
        shapes = model.level_shapes(height, width)
        entries.append(
            {
                "width_px": width,
                "height_px": height,
                "crop_width_px": bucket.size[0],
                "crop_height_px": bucket.size[1],
                "level_shapes": shapes,
            }
        )
    return entries


def _count_buckets(
    facts: dict[str, Any], parts: dict[str, ShardPart], shards: dict[str, manifest.Shard]
) -> dict[str, Any]:
    """The buckets of the manifest, with their shards and the numbers of latents in them.

    Args:
        facts: With `_describe_buckets`, if there are several sizes.
        parts: By name.
        shards: What was written for each part.
    """
    if not has_buckets(facts):
        return {}
    entries = []
    for entry in facts[buckets.FACT]:
        crop = entry["crop_width_px"], entry["crop_height_px"]
        of_split: dict[str, list[manifest.Shard]] = {"train": [], "val": []}
        for name, part in parts.items():
            if part.crop_size == crop:
                of_split[part.split].append(shards[name])
        entries.append(entry | buckets.describe((entry["width_px"], entry["height_px"]), of_split))
    return {buckets.FACT: entries}
