"""The stage `curate`: one decision for each row of the raw metadata, made with Ray Data.

Only metadata is sent: each task reads the bytes of its images by offset from the raw shards, which
all nodes must see under the same path, and returns scores. Scores of earlier runs come from the
cache, so a run measures only new pictures, and none if only limits have changed.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import ray

from pdm.config.stages.curate import CurateConfig
from pdm.counts import counted
from pdm.curation.curate.advice import advise_on_size
from pdm.curation.curate.cache import MEASURED, ScoreCache, remove_matching
from pdm.curation.curate.content.choice import model_of
from pdm.curation.curate.content.likeness import Likeness, load_likeness, score_likeness
from pdm.curation.curate.duplicates.find import Candidate, find_duplicates
from pdm.curation.curate.framing.crop import nearest_size
from pdm.curation.curate.isolated import judge_rows
from pdm.curation.curate.judge import load_networks
from pdm.curation.curate.raw import load_rows
from pdm.curation.curate.rules import content_size, decide
from pdm.data import decisions as tables
from pdm.data.decisions import Row
from pdm.errors import QualityGate
from pdm.files import atomic_folder, write_json
from pdm.machine.cluster import ray_session
from pdm.progress import Progress

logger = logging.getLogger(__name__)

SUMMARY_NAME = "summary.json"
IMAGES_PER_TASK = 8
IMAGES_PER_PART = 256  # of the cache; a killed run measures at most this many again
JUDGED = pa.schema([("key", pa.string()), *tables.JUDGED.items()])


def curate(
    config: CurateConfig, *, raw: Path, decisions: Path, cache: Path | None = None
) -> dict[str, int]:
    """Judge every row of `raw` and write `decisions.parquet` and `summary.json` to `decisions`.

    Args:
        config: The limits.
        raw: Written by `scrape`.
        decisions: Is replaced as a whole, or left unchanged if the stage fails.
        cache: Folder of measured scores, for later runs; None stores nothing.

    Returns:
        How many rows were kept, dropped and failed; they add up to the rows of `raw`.

    Raises:
        BadInput: `raw` is missing or incomplete.
        QualityGate: Fewer than `config.min_kept` were kept. `decisions` is left unchanged.
        Unavailable: Another process is writing `decisions`.
    """
    rows = load_rows(raw)
    with atomic_folder(decisions) as folder:  # from here on: a cache has one writer, too
        score_cache = ScoreCache(cache, config) if cache else None
        likeness = load_likeness(config, score_cache)
        if cache:
            _remove_obsolete(cache, rows, likeness)
        measured = _measure_all(rows, raw.resolve(), config, score_cache)
        likenesses = score_likeness(measured, likeness)
        decided = [_decide_row(row, measured, likenesses, config) for row in rows]
        mark_duplicates(decided, config)

        outcomes = Counter(str(row["outcome"]) for row in decided)
        assert outcomes.total() == len(rows)
        sentence, advice = _summary_line(decided), advise_on_size(decided, config)
        if outcomes["kept"] < config.min_kept:
            raise QualityGate(
                f"{sentence}. At least {config.min_kept} must be kept (curate.min_kept): add "
                "sources, or look at the limits of section curate. Nothing was written."
                + (f" {advice}." if advice else "")
            )
        _write(folder, decided, config, likeness.facts if likeness else {})
    if advice:
        logger.warning("curate: %s", advice)
    logger.info("%s", sentence)  # last: the table of a run shows the last line of a stage
    return {outcome: outcomes[outcome] for outcome in ("kept", "dropped", "failed")}


def _remove_obsolete(cache: Path, rows: list[Row], likeness: Likeness | None) -> None:
    """Delete cached scores of images that are neither fetched nor examples any more."""
    present = {row["sha256"] for row in rows if row["status"] == "ok"}
    present |= likeness.sha256s if likeness else set()
    if num_removed := remove_matching(cache, lambda sha256: sha256 not in present):
        logger.info("curate: %s removed from the cache", f"{num_removed:,}")


def _measure_all(
    rows: list[Row], raw: Path, config: CurateConfig, cache: ScoreCache | None
) -> dict[str, Row]:
    """The measured row of every fetched file, by its sha256. Equal files are measured once."""
    files = {row["sha256"]: row for row in rows if row["status"] == "ok"}
    measured = cache.load(set(files)) if cache else {}
    new = [row for sha256, row in files.items() if sha256 not in measured]
    to_store: dict[str, Row] = {}
    sha256_of = {row["key"]: row["sha256"] for row in new}
    for row in _judge_all(new, raw, config):
        sha256 = sha256_of[row["key"]]
        measured[sha256] = row
        if cache and row["reason"] != "damaged":
            to_store[sha256] = row
            if len(to_store) == IMAGES_PER_PART:
                cache.store(to_store)
                to_store = {}
    if cache:
        cache.store(to_store)
        logger.info(
            "curate: judged %s new, %s unchanged from before",
            f"{len(new):,}",
            f"{len(files) - len(new):,}",
        )
    return measured


def _judge_all(rows: list[Row], raw: Path, config: CurateConfig) -> Iterator[Row]:
    """The decided columns of each row, in any order."""
    if not rows:
        return
    config = _with_absolute_path(config)
    load_networks(model_of(config))  # fails here, once, rather than on every worker
    columns = pa.schema([(name, tables.RAW[name]) for name in ("key", "tar", "sha256")])
    columns = columns.append(pa.field("offset", pa.int64())).append(pa.field("size", pa.int64()))
    table = pa.Table.from_pylist(rows, schema=columns)

    def judge_block(block: pa.Table) -> pa.Table:
        return pa.Table.from_pylist(judge_rows(block.to_pylist(), raw, config), schema=JUDGED)

    with ray_session():
        for name in ("_internal.execution.streaming_executor", "_internal.progress"):
            logging.getLogger(f"ray.data.{name}").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        starts = range(0, len(rows), IMAGES_PER_TASK)
        blocks = ray.data.from_arrow([table.slice(start, IMAGES_PER_TASK) for start in starts])
        results = blocks.map_batches(judge_block, batch_size=None, batch_format="pyarrow")
        progress = Progress("curate", len(rows))
        for row in results.iter_rows():
            progress.advance()
            yield row


def _with_absolute_path(config: CurateConfig) -> CurateConfig:
    """Make the path of the model's file absolute: workers run in another folder."""
    if config.content is None or config.content.model is None:
        return config
    path = str(Path(config.content.model.path).resolve())
    model = dataclasses.replace(config.content.model, path=path)
    return dataclasses.replace(config, content=dataclasses.replace(config.content, model=model))


def _decide_row(
    row: Row, measured: dict[str, Row], likenesses: dict[str, float], config: CurateConfig
) -> Row:
    """A complete row of the table of decisions."""
    if row["status"] != "ok":
        detail = row["error_message"] or f"Not fetched: {row['reason']}."
        return row | _target(row, config) | {"outcome": row["status"], "detail": detail}
    scores = measured[row["sha256"]]
    target = _target(scores, config)
    if scores.get("reason") == "damaged":
        return row | target | {name: scores[name] for name in ("outcome", "reason", "detail")}
    columns = {name: scores[name] for name in MEASURED if name in tables.DECIDED}
    columns["likeness"] = likenesses.get(row["sha256"])
    return row | target | columns | decide(columns, config)


def _target(measured: Row, config: CurateConfig) -> Row:
    """The size of a row's finished crop. With buckets it is null where no size was measured."""
    if config.buckets is None:
        target: tuple[int | None, int | None] = config.width_px, config.height_px
    elif measured.get("width_px") is None or measured.get("height_px") is None:
        target = None, None
    else:
        target = nearest_size(config.sizes, *content_size(measured))
    return dict(zip(("target_width_px", "target_height_px"), target, strict=True))


def mark_duplicates(decided: list[Row], config: CurateConfig) -> None:
    """Drop the kept rows that are duplicates, and set each row's cluster and nearest, in place."""
    candidates = [
        Candidate(
            key=row["key"],
            sha256=row["sha256"],
            small=row["small"],
            num_pixels=row["content_width_px"] * row["content_height_px"],
            sharpness=row["sharpness"],
        )
        for row in decided
        if row["outcome"] == "kept"
    ]
    bits, difference = config.near_duplicate_bits, config.near_duplicate_difference
    duplicates = find_duplicates(candidates, bits, difference)
    for row in decided:
        if cluster := duplicates.clusters.get(row["key"]):
            row["cluster"] = cluster
            row["nearest"], row["difference"] = duplicates.nearest.get(row["key"], (None, None))
        if keeper_and_drop := duplicates.dropped.get(row["key"]):
            keeper, drop = keeper_and_drop
            row |= {"outcome": "dropped", "duplicate_of": keeper}
            row |= {"reason": drop.reason, "detail": drop.detail}


def _summary_line(decided: list[Row]) -> str:
    """Such as "curate: 128 images: 98 kept; dropped 28 (blurry 2, ...); failed 2 (http_404 2)"."""
    parts = [f"{sum(row['outcome'] == 'kept' for row in decided)} kept"]
    for outcome in ("dropped", "failed"):
        reasons = Counter(str(row["reason"]) for row in decided if row["outcome"] == outcome)
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        parts.append(f"{outcome} {reasons.total()}" + (f" ({listed})" if listed else ""))
    return f"curate: {counted(len(decided), 'image')}: " + "; ".join(parts)


def _write(
    folder: Path, decided: list[Row], config: CurateConfig, examples: dict[str, int]
) -> None:
    counts: dict[str, dict[str, int]] = {"kept": {}, "dropped": {}, "failed": {}}
    for row in decided:
        reasons = counts[row["outcome"]]
        reason = row["reason"] or "kept"
        reasons[reason] = reasons.get(reason, 0) + 1
    limits = dataclasses.asdict(config)
    unused = () if config.buckets else ("buckets",)
    summary = {
        "total": len(decided),
        "outcomes": {outcome: sum(reasons.values()) for outcome, reasons in counts.items()},
        "reasons": {outcome: counts[outcome] for outcome in ("dropped", "failed")},
        "limits": {name: value for name, value in limits.items() if name not in unused},
    }
    if examples:
        summary["examples"] = examples
    tables.save(folder, decided)
    write_json(folder / SUMMARY_NAME, summary)
