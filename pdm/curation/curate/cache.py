"""A cache of measured scores, so that a run measures only new pictures.

It has a folder for each version of the code and settings that scores depend on. A folder has
parquet files ("parts") of measured rows, by the sha256 of the picture's file. A part is named by
the hash of its content: a damaged one is noticed and deleted, and its pictures are measured again.
The cache is written while pictures are measured, so that an interrupted run continues from there.
It is outside DVC, which clears a stage's outputs before it runs. Deleting it costs only time.

Rows of pictures that are no longer fetched, because they were removed or their URL left the list,
are deleted.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.content.choice import embedding_network
from pdm.curation.curate.scores.measure import SCORE_SETTINGS
from pdm.data.code import code_version, modules_behind
from pdm.data.decisions import JUDGED, Row
from pdm.files import atomic_file, sha256_of

logger = logging.getLogger(__name__)

# All code that affects a score: the judge's imports, without those that only carry its results.
# Weights and coefficients are not code: the modules that use them contain their digests.
MEASURING = modules_behind(
    "pdm.curation.curate.judge",
    leave_out=(
        *("pdm.config", "pdm.errors", "pdm.files", "pdm.machine.threads"),
        *("pdm.model_record", "pdm.weights"),
        *("pdm.curation.curate.rules", "pdm.data.decisions", "pdm.data.shards.tars"),
    ),
)
DECISION = (
    *("outcome", "reason", "detail", "likeness", "duplicate_of"),
    *("cluster", "nearest", "difference"),
)
MEASURED = {
    name: kind
    for name, kind in JUDGED.items()
    if name not in DECISION and not name.startswith("target_")
}
SCHEMA = pa.schema([("sha256", pa.string()), *MEASURED.items()])
TRANSIENT_FAULTS = ("decode_timeout", "decoder_crash")  # the machine may have caused them
MAX_PARTS = 32  # more are merged


class ScoreCache:
    """Measured rows by the sha256 of the picture's file.

    Args:
        folder: Is created when something is stored.
        config: Rows are valid for the settings under which they were measured.
    """

    def __init__(self, folder: Path, config: CurateConfig) -> None:
        settings = {name: dataclasses.asdict(config)[name] for name in SCORE_SETTINGS}
        facts = [code_version(MEASURING), settings, embedding_network(config), *map(str, SCHEMA)]
        text = json.dumps(facts, sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]

    def load(self, wanted: set[str]) -> dict[str, Row]:
        """Rows by sha256, for those of the wanted pictures that are in the cache."""
        parts = list(_intact_parts(self._folder))
        tables = [table for _, table in parts]
        if len(parts) > MAX_PARTS:
            _write_part(self._folder, pa.concat_tables(tables))
            for path, _ in parts:
                path.unlink()
        rows: dict[str, Row] = {}
        for table in tables:
            chosen = table.filter(pc.is_in(table["sha256"], pa.array(sorted(wanted), pa.string())))
            rows |= {row.pop("sha256"): row for row in chosen.to_pylist()}
        return rows

    def store(self, rows: dict[str, Row]) -> None:
        """Store measured rows by sha256, except those with `TRANSIENT_FAULTS`."""
        records = [
            {"sha256": sha256} | {name: row.get(name) for name in MEASURED}
            for sha256, row in sorted(rows.items())
            if row.get("fault") not in TRANSIENT_FAULTS
        ]
        if records:
            _write_part(self._folder, pa.Table.from_pylist(records, schema=SCHEMA))


def remove_matching(folder: Path, unwanted: Callable[[str], bool]) -> int:
    """Delete the rows of unwanted pictures, by sha256, for all settings; return their number."""
    count = 0
    for settings in sorted(path for path in folder.glob("*") if path.is_dir()):
        for temporary in (*settings.glob(".tmp-*"), *settings.glob("new")):  # of a killed run
            temporary.unlink()
        for path, table in _intact_parts(settings):
            wanted = [not unwanted(sha256) for sha256 in table["sha256"].to_pylist()]
            if all(wanted):
                continue
            count += len(wanted) - sum(wanted)
            if any(wanted):
                _write_part(settings, table.filter(pa.array(wanted)))
            path.unlink()
    return count


def _intact_parts(folder: Path) -> Iterator[tuple[Path, pa.Table]]:
    for path in sorted(folder.glob("[0-9a-f]*.parquet")):
        if sha256_of(path).startswith(path.stem):
            yield path, pq.read_table(path)
        else:
            logger.warning("curate: %s is damaged; its images are judged again", path)
            path.unlink()


def _write_part(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "new") as temporary:
        pq.write_table(table, temporary)
        name = sha256_of(temporary)[:32]
    (folder / "new").replace(folder / f"{name}.parquet")
