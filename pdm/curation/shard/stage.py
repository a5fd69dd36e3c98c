"""The stage `shard`: exact crops of the kept images as WebDataset shards, and the data report.

One Ray task writes one shard and streams its images from the raw tars. All nodes must see the raw,
output and cache folders under the same path. Equal input gives equal bytes, whatever the number of
tasks and the content of the cache.
"""

import logging
from collections import Counter, defaultdict
from pathlib import Path

import ray

from pdm.config.buckets import bucket_name
from pdm.config.stages.shard import ShardConfig
from pdm.counts import counted
from pdm.curation.class_counts import describe_classes
from pdm.curation.shard.box_counts import join
from pdm.curation.shard.crops import CropCache
from pdm.curation.shard.image_table import write_image_table
from pdm.curation.shard.metadata import Place, write_metadata
from pdm.curation.shard.report.page import Report, write_report
from pdm.curation.shard.split import TRAIN, VAL, assign_splits, shard_of
from pdm.curation.shard.write import (
    MAPS,
    WrittenShard,
    estimate_bytes,
    write_shard,
)
from pdm.data.annotations.boxes import LEFT_OUT
from pdm.data.annotations.captions import captions_of
from pdm.data.annotations.maps import read_names
from pdm.data.decisions import Row, load
from pdm.data.shards.tars import num_whole_members
from pdm.data.space import disk_space_for
from pdm.data.summary import FILE_NAME, read_limits, read_summary
from pdm.files import atomic_folder
from pdm.machine.cluster import ray_session, result_of
from pdm.progress import SECONDS_BETWEEN_LINES, Progress

logger = logging.getLogger(__name__)

Plan = dict[Place, list[Row]]

# In training. The default run has more, and draws no copies; with 7, all samples were nearer to a
# training picture than any held-out one was (docs/guide/data.md).
FEW_PICTURES = 80


def shard(
    config: ShardConfig,
    *,
    raw: Path,
    decisions: Path,
    shards: Path,
    report: Path,
    table: Path | None = None,
    cache: Path | None = None,
) -> None:
    """Write `shards` (tars, `manifest.json`, card, Croissant file), the HTML `report`, and the
    `table` of images.

    Args:
        config: Encoding and split.
        raw: Written by `scrape`.
        decisions: Written by `curate`.
        shards: Is replaced as a whole, or left unchanged if the stage fails.
        report: One HTML page.
        table: One row for each image (`pdm.curation.shard.image_table`); None writes none.
        cache: Folder of finished crops, for later runs; None stores nothing.

    Raises:
        BadInput: `decisions` or the summary of `raw` is missing or cannot be read.
        QualityGate: A split has no image, or none of the main size. Nothing is published.
        Unavailable: The disk has no room for the shards, or became full.
    """
    rows = load(decisions)
    limits = read_limits(decisions)
    kept = [row for row in rows if row["outcome"] == "kept"]
    splits = assign_splits(rows, config.val_share, config.hold_out)
    crops = CropCache(cache.resolve(), config) if cache else None
    num_bytes = estimate_bytes(kept, config)
    num_bytes += estimate_bytes(crops.prune(kept), config) if crops else 0
    with ray_session():
        with disk_space_for(shards, num_bytes), atomic_folder(shards) as folder:
            plan = _plan_shards(kept, splits, config, with_buckets="buckets" in limits)
            with_captions = any(map(captions_of, kept))
            map_names = read_names(raw / MAPS) if (raw / MAPS).is_dir() else ()
            written = _write_shards(
                plan, folder, raw.resolve(), config, crops, with_captions, map_names
            )
            failures = {key: why for one in written.values() for key, why in one.failures.items()}
            crop_rows = [row for row in kept if row["key"] not in failures]
            box_counts = join((one.boxes for one in written.values()), _boxes_left_out(raw))
            manifest = write_metadata(
                folder, written, crop_rows, splits, config, limits, map_names, box_counts
            )
        if table:
            write_image_table(table, crop_rows, splits, _shard_names(plan))
        about = Report(decisions, splits, failures, limits, manifest, box_counts)
        write_report(report, about, raw.resolve())
    num_cut = sum(one.num_cut for one in written.values())
    classes_text = describe_classes(Counter(row["class_name"] for row in crop_rows))
    warn_if_few(manifest.num_samples(TRAIN))  # not last: the table of a run shows the last line
    logger.info(
        "shard: %d crops (%d new, %d unchanged): %d train, %d val; failed %d%s; report: %s",
        len(crop_rows),
        num_cut,
        len(crop_rows) - num_cut,
        manifest.num_samples(TRAIN),
        manifest.num_samples(VAL),
        len(failures),
        f"; {classes_text}" if classes_text else "",
        report,
    )
    if boxes_text := box_counts.describe():
        logger.info("shard: %s", boxes_text)


def warn_if_few(num_training: int) -> None:
    """Log a warning if models would learn so few training pictures by heart."""
    if num_training < FEW_PICTURES:
        logger.warning(
            "shard: %s few: models learn so few by heart and draw copies of "
            "them; collect hundreds before you train for long (docs/guide/data.md)",
            counted(num_training, "training image is", "training images are"),
        )


def _boxes_left_out(raw: Path) -> dict[str, int]:
    """Boxes of the sources that `scrape` left out, by reason."""
    summary = read_summary(raw, "scrape") if (raw / FILE_NAME).is_file() else {}
    return dict(summary.get(LEFT_OUT, {}))


def _plan_shards(
    kept: list[Row], splits: dict[str, str], config: ShardConfig, *, with_buckets: bool
) -> Plan:
    """Place of each shard -> its images, in key order; no entry for an empty shard.

    A shard has images of one size only.
    """
    num_shards = {TRAIN: config.num_train_shards, VAL: config.num_val_shards}
    plan: Plan = defaultdict(list)
    for row in kept:
        split = splits[row["key"]]
        bucket = bucket_name(_size_of(row)) if with_buckets else ""
        plan[split, bucket, shard_of(row["key"], num_shards[split])].append(row)
    return dict(sorted(plan.items()))


def _size_of(row: Row) -> tuple[int, int]:
    """Width and height of a kept row's crop."""
    return row["target_width_px"], row["target_height_px"]


def _shard_name(split: str, bucket: str, number: int) -> str:
    return f"{split}-{bucket}-{number:06}.tar" if bucket else f"{split}-{number:06}.tar"


def _shard_names(plan: Plan) -> dict[str, str]:
    """Name of the tar of each image, by key."""
    return {row["key"]: _shard_name(*place) for place, rows in plan.items() for row in rows}


def _write_shards(
    plan: Plan,
    folder: Path,
    raw: Path,
    config: ShardConfig,
    crops: CropCache | None,
    with_captions: bool,
    map_names: tuple[str, ...],
) -> dict[Place, WrittenShard]:
    progress = Progress("shard", sum(map(len, plan.values())))
    num_parts = 2 + with_captions + bool(map_names)
    remote = ray.remote(num_cpus=1)(write_shard)
    tasks = {
        remote.remote(
            folder.resolve() / _shard_name(*place),
            *(rows, place[0], raw, config, crops, with_captions, map_names),
        ): place
        for place, rows in plan.items()
    }
    written: dict[Place, WrittenShard] = {}
    waiting = list(tasks)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=SECONDS_BETWEEN_LINES)
        for task in done:
            try:
                written[tasks[task]] = result_of(task)
            except Exception:
                # The other tasks write into a folder that is about to be removed: wait for them.
                if waiting:
                    ray.wait(waiting, num_returns=len(waiting))
                raise
            for key, why in written[tasks[task]].failures.items():
                logger.warning("shard: %s left out: %s", key, why)
        finished = sum(len(plan[place]) for place in written)
        progress.reach(finished + _num_images_in_progress(folder, num_parts))
    return dict(sorted(written.items()))


def _num_images_in_progress(folder: Path, num_parts: int) -> int:
    """Number of images in shards that are not finished yet; a sample has so many files."""
    return sum(num_whole_members(path) for path in folder.glob(".tmp-*.tar")) // num_parts
