"""What was measured before, so that a run looks at new pictures alone.

A folder for each version of the measuring and its settings, in it parquet files of measured rows,
by the sha256 of the picture's file. A part's name is the hash of its content: one that was damaged
is noticed, deleted and measured again. It is written while pictures are measured, so that a run
that is cut off goes on from there. It lies outside DVC, which clears a stage's outputs before it
runs. To delete it costs only time.

A picture that is no longer among the fetched ones, because it was withdrawn or its URL left the
list, is forgotten: nothing is known here of a picture that is not there.
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

from pdm.config.curate import CurateConfig
from pdm.curation.curate.content.embedding import embedded_by
from pdm.curation.curate.scores.measure import SCORE_SETTINGS
from pdm.data.code import code_version, modules_behind
from pdm.data.decisions import JUDGED, Row
from pdm.files import atomic_file, sha256_of

logger = logging.getLogger(__name__)

# All code that affects a score: what the judge imports, without what only carries its results.
# Weights and coefficients are no code: the modules that use them name their digests.
MEASURING = modules_behind(
    "pdm.curation.curate.judge",
    leave_out=(
        *("pdm.config", "pdm.errors", "pdm.files", "pdm.threads", "pdm.weights"),
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
NOT_KEPT = ("decode_timeout", "decoder_crash")  # may have come from the machine, not the picture
MAX_PARTS = 32  # more are joined


class ScoreCache:
    """Measured rows by the content of the picture.

    Args:
        folder: Made when something is kept.
        config: Rows hold for the settings under which they were measured.
    """

    def __init__(self, folder: Path, config: CurateConfig) -> None:
        settings = {name: dataclasses.asdict(config)[name] for name in SCORE_SETTINGS}
        facts = [code_version(MEASURING), settings, embedded_by(config), *map(str, SCHEMA)]
        text = json.dumps(facts, sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]

    def load(self, wanted: set[str]) -> dict[str, Row]:
        """The measured rows of the pictures with these sha256s, as far as they are known."""
        parts = list(_whole_parts(self._folder))
        tables = [table for _, table in parts]
        if len(parts) > MAX_PARTS:
            _write_part(self._folder, pa.concat_tables(tables))
            for path, _ in parts:
                path.unlink()
        found: dict[str, Row] = {}
        for table in tables:
            chosen = table.filter(pc.is_in(table["sha256"], pa.array(sorted(wanted), pa.string())))
            found |= {row.pop("sha256"): row for row in chosen.to_pylist()}
        return found

    def keep(self, rows: dict[str, Row]) -> None:
        """Remember measured rows by their sha256; those that may pass are left out."""
        lasting = [
            {"sha256": sha256} | {name: row.get(name) for name in MEASURED}
            for sha256, row in sorted(rows.items())
            if row.get("fault") not in NOT_KEPT
        ]
        if lasting:
            _write_part(self._folder, pa.Table.from_pylist(lasting, schema=SCHEMA))


def forget(folder: Path, unwanted: Callable[[str], bool]) -> int:
    """Delete what is known of unwanted pictures, by sha256, for all settings; gives the number."""
    count = 0
    for settings in sorted(path for path in folder.glob("*") if path.is_dir()):
        for left in (*settings.glob(".tmp-*"), *settings.glob("new")):  # by a killed run
            left.unlink()
        for path, table in _whole_parts(settings):
            stays = [not unwanted(sha256) for sha256 in table["sha256"].to_pylist()]
            if all(stays):
                continue
            count += len(stays) - sum(stays)
            if any(stays):
                _write_part(settings, table.filter(pa.array(stays)))
            path.unlink()
    return count


def _whole_parts(folder: Path) -> Iterator[tuple[Path, pa.Table]]:
    for path in sorted(folder.glob("[0-9a-f]*.parquet")):
        if sha256_of(path).startswith(path.stem):
            yield path, pq.read_table(path)
        else:
            logger.warning("curate: %s is damaged; its pictures are judged again", path)
            path.unlink()


def _write_part(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / "new") as temporary:
        pq.write_table(table, temporary)
        name = sha256_of(temporary)[:32]
    (folder / "new").replace(folder / f"{name}.parquet")
