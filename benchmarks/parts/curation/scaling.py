"""The stage `curate` on Ray Data, against its slowest step alone and against a plain process pool.

The slowest step is judging; alone, it is a pool of as many processes as the machine has cores that
calls `judge_row` and throws the answers away. The plain pool does the whole stage: it reads the
metadata, judges, finds duplicates and writes the same table, without Ray and without a process of
its own around each decoder, so that the price of that protection counts against us. All three are
warm: processes have started and have judged before.
"""

import dataclasses
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.parts.curation.pictures import crops_of, raw_folder, small_pictures
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate import curate
from pdm.curation.curate.judge import judge_row
from pdm.curation.curate.raw import load_rows
from pdm.curation.curate.stage import mark_duplicates
from pdm.data import decisions
from pdm.data.decisions import Row
from pdm.machine.cluster import ray_session

CHUNK = 8  # pictures that a process of the pool is handed at once, as a task of ours


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    num_pictures: int
    picture: tuple[int, int]
    crop: tuple[int, int]
    rounds: int


FULL = Size(160, (2400, 1350), (2048, 1024), rounds=5)
QUICK = Size(32, (320, 180), (256, 128), rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    raw = raw_folder(folder, small_pictures(size.num_pictures, *size.picture))
    config = dataclasses.replace(crops_of(*size.crop), min_kept=1)
    ours, theirs = folder / "ours", folder / "theirs"
    theirs.mkdir()
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with ray_session(num_cpus=cores, worker_output=False), context.Pool(cores) as pool:
        sides = [
            lambda: curate(config, raw=raw, decisions=ours),
            lambda: _whole_stage(pool, raw, config, theirs),
            lambda: list(_judged(pool, load_rows(raw), raw, config)),
        ]
        seconds = interleaved(size.rounds, *(partial(timed, side) for side in sides))
    assert _table(ours) == _table(theirs)
    stage, plain, judging = (
        speeds(size.num_pictures, [one.wall for one in side]) for side in seconds
    )
    note = (
        f"{size.num_pictures} JPEGs of {size.picture[0]} x {size.picture[1]}, {cores} processes "
        "each, warm, by the clock; the tables of decisions are equal"
    )
    return [
        compare(
            "ray_efficiency",
            "the stage on Ray Data, against judging alone in a pool",
            *(stage, judging, "images/s", "at least 0.9", note),
        ),
        compare(
            "ray_vs_pool",
            "the stage on Ray Data, against a plain process pool",
            *(stage, plain, "images/s", "at least 0.91: 10 % overhead"),
        ),
    ]


def _judged(pool: Pool, rows: list[Row], raw: Path, config: CurateConfig) -> Iterator[Row]:
    return pool.imap_unordered(partial(judge_row, raw=raw, config=config), rows, CHUNK)


def _whole_stage(pool: Pool, raw: Path, config: CurateConfig, folder: Path) -> None:
    rows = {row["key"]: row for row in load_rows(raw)}
    target = {"target_width_px": config.width_px, "target_height_px": config.height_px}
    for judged in _judged(pool, list(rows.values()), raw, config):
        rows[judged["key"]] |= judged | target
    mark_duplicates(list(rows.values()), config)
    decisions.save(folder, list(rows.values()))


def _table(folder: Path) -> list[Row]:
    rows: list[Row] = pq.read_table(folder / decisions.FILE_NAME).to_pylist()
    return rows
