"""The stage `curate`: one decision per row of the raw metadata, made on Ray Data.

Only metadata travels: each task reads the bytes of its images by offset from the raw shards (which
all nodes must see under the same path), and returns scores.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import ray

from pdm.cluster import ray_session
from pdm.config.curate import CurateConfig
from pdm.curation.curate.duplicates import Candidate, find_duplicates
from pdm.curation.curate.judge import judge_row
from pdm.curation.curate.raw import load_rows
from pdm.data import decisions as tables
from pdm.data.decisions import DECIDED, Row
from pdm.errors import QualityGate
from pdm.files import whole_folder, write_json
from pdm.progress import Progress

logger = logging.getLogger(__name__)

SUMMARY_NAME = "summary.json"
IMAGES_PER_TASK = 8
JUDGED = pa.schema([("key", pa.string()), *((name, kind) for name, kind in DECIDED.items())])


def curate(config: CurateConfig, *, raw: Path, decisions: Path) -> dict[str, int]:
    """Judge every row of `raw` and write `decisions.parquet` and `summary.json` to `decisions`.

    Returns:
        How many rows were kept, dropped and failed; they add up to the rows of `raw`.

    Raises:
        BadInput: `raw` is missing or incomplete.
        QualityGate: Fewer than `config.min_kept` were kept. `decisions` is left as it was.
    """
    rows = load_rows(raw)
    fetched = [row for row in rows if row["status"] == "ok"]
    judged = {row["key"]: row for row in _judge_all(fetched, raw.resolve(), config)}
    decided = [_decision(row, judged.get(row["key"]), config) for row in rows]
    _mark_duplicates(decided, config.near_duplicate_bits)

    outcomes = Counter(str(row["outcome"]) for row in decided)
    assert outcomes.total() == len(rows)
    sentence = _summary_line(decided)
    if outcomes["kept"] < config.min_kept:
        raise QualityGate(
            f"{sentence}. At least {config.min_kept} must be kept (curate.min_kept): add sources, "
            "or look at the limits of section curate. Nothing was written."
        )
    _write(decisions, decided, config)
    logger.info("%s", sentence)
    return {outcome: outcomes[outcome] for outcome in ("kept", "dropped", "failed")}


def _judge_all(rows: list[Row], raw: Path, config: CurateConfig) -> Iterator[Row]:
    """The decided columns of each row, in any order."""
    if not rows:
        return
    columns = pa.schema([(name, tables.RAW[name]) for name in ("key", "tar", "sha256")])
    columns = columns.append(pa.field("offset", pa.int64())).append(pa.field("size", pa.int64()))
    table = pa.Table.from_pylist(rows, schema=columns)

    def judge_block(block: pa.Table) -> pa.Table:
        judged = [judge_row(row, raw, config) for row in block.to_pylist()]
        return pa.Table.from_pylist(judged, schema=JUDGED)

    with ray_session():
        for chatty in ("_internal.execution.streaming_executor", "_internal.progress"):
            logging.getLogger(f"ray.data.{chatty}").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        starts = range(0, len(rows), IMAGES_PER_TASK)
        blocks = ray.data.from_arrow([table.slice(start, IMAGES_PER_TASK) for start in starts])
        results = blocks.map_batches(judge_block, batch_size=None, batch_format="pyarrow")
        progress = Progress("curate", len(rows))
        for row in results.iter_rows():
            progress.advance()
            yield row


def _decision(row: Row, judged: Row | None, config: CurateConfig) -> Row:
    target = {"target_width_px": config.width_px, "target_height_px": config.height_px}
    if judged is not None:
        return row | judged | target
    detail = row["error_message"] or f"Not fetched: {row['reason']}."
    return row | target | {"outcome": row["status"], "detail": detail}


def _mark_duplicates(decided: list[Row], near_duplicate_bits: int) -> None:
    candidates = [
        Candidate(
            key=row["key"],
            sha256=row["sha256"],
            phash=int(row["phash"], 16),
            num_pixels=row["width_px"] * row["height_px"],
            sharpness=row["sharpness"],
        )
        for row in decided
        if row["outcome"] == "kept"
    ]
    duplicates = find_duplicates(candidates, near_duplicate_bits)
    for row in decided:
        if found := duplicates.get(row["key"]):
            keeper, drop = found
            row |= {"outcome": "dropped", "duplicate_of": keeper}
            row |= {"reason": drop.reason, "detail": drop.detail}


def _summary_line(decided: list[Row]) -> str:
    """curate: 128 images: 98 kept; dropped 28 (blurry 2, ...); failed 2 (http_404 2)."""
    parts = [f"{sum(row['outcome'] == 'kept' for row in decided)} kept"]
    for outcome in ("dropped", "failed"):
        reasons = Counter(str(row["reason"]) for row in decided if row["outcome"] == outcome)
        listed = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        parts.append(f"{outcome} {reasons.total()}" + (f" ({listed})" if listed else ""))
    return f"curate: {len(decided):,} images: " + "; ".join(parts)


def _write(folder: Path, decided: list[Row], config: CurateConfig) -> None:
    counts: dict[str, dict[str, int]] = {"kept": {}, "dropped": {}, "failed": {}}
    for row in decided:
        reasons = counts[row["outcome"]]
        reason = row["reason"] or "kept"
        reasons[reason] = reasons.get(reason, 0) + 1
    summary = {
        "total": len(decided),
        "outcomes": {outcome: sum(reasons.values()) for outcome, reasons in counts.items()},
        "reasons": {outcome: counts[outcome] for outcome in ("dropped", "failed")},
        "limits": dataclasses.asdict(config),
    }
    with whole_folder(folder) as temporary:
        tables.save(temporary, decided)
        write_json(temporary / SUMMARY_NAME, summary)
