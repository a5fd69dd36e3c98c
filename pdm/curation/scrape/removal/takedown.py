"""Where pictures that must not be used any more still are, and which models have seen them.

The stages take care of the data: what stands in the removals leaves raw data, caches, shards and
latents with the next run. A model cannot be made to forget; here it is named. So are near
duplicates of removed pictures from other places: one of them would take the place that is free.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pdm.curation.scrape.removal import removal_list
from pdm.curation.scrape.removal.removal_list import Removals
from pdm.data.shards import listing
from pdm.errors import BadInput, QualityGate

logger = logging.getLogger(__name__)

DATA = (Path("data/shards"), Path("data/latents"))
MODELS = Path("models")
MODEL_FILE = "model.safetensors"
MAX_KEYS = 10  # that a line names; the files of the folders hold all
OF_MODEL = {"train": "trained on", "val": "held out"}
OF_DATA = {"train": "training holds", "val": "held out"}


@dataclass(frozen=True, slots=True)
class Trace:
    """The removed pictures of one folder: keys by split."""

    folder: Path
    keys: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Such as "models/autoencoder: trained on 2 removed pictures (1f..., 8a...)"."""
        verbs = OF_MODEL if (self.folder / MODEL_FILE).is_file() else OF_DATA
        parts = []
        for split, keys in sorted(self.keys.items()):
            count = f"{len(keys):,} removed picture{'s' if len(keys) > 1 else ''}"
            more = ", ..." if len(keys) > MAX_KEYS else ""
            named = f"{', '.join(keys[:MAX_KEYS])}{more}"
            parts.append(f"{verbs.get(split, split)} {count} ({named})")
        return f"{self.folder}: {'; '.join(parts)}"


def report_removed(path: str | None, folders: Sequence[Path], *, raw: Path, decisions: Path) -> str:
    """Look for removed pictures in folders of data and models; each find is logged, a line each.

    Args:
        path: The list of removals.
        folders: Each with a `pictures.txt`; empty means data and models in their usual places.
        raw: Its rows know which listed URLs the removals meant, however they are written there.
        decisions: Know which pictures are alike; may be absent.

    Returns:
        A sentence, if nothing was found.

    Raises:
        BadInput: There is no list of removals, or nothing to look at.
        QualityGate: A folder holds a removed picture, or has seen one, or cannot tell.
    """
    if path is None:
        raise BadInput("there is no list of removals; name one: scrape.removed, or --removals FILE")
    usual = [folder for folder in (*DATA, *models_in(MODELS)) if folder.is_dir()]
    chosen = list(folders) or usual
    if not chosen:
        raise BadInput("there are no shards, latents or models yet; name folders to look at")
    removals = removal_list.read(path)
    found = traces(removals, chosen, raw)
    for one in found:
        logger.error("%s", one)
    for line in look_alikes(removals, decisions):
        logger.warning("%s", line)
    silent = [folder for folder in chosen if not (folder / listing.FILE_NAME).is_file()]
    for folder in silent:
        logger.error("%s: has no %s; nobody can tell", folder, listing.FILE_NAME)
    if found or silent:
        raise QualityGate(
            f"{len(found)} of {len(chosen)} folders hold or have seen removed pictures, "
            f"{len(silent)} cannot tell. `pyramid run` makes data and models anew without them; "
            "then `dvc gc --workspace` clears old versions"
        )
    return f"no removed picture in {', '.join(map(str, chosen))}"


def warn(removals: Removals, *, models: Path, raw: Path, decisions: Path) -> None:
    """Log a warning for each model below `models` that has seen a removed picture, and for each
    picture like a removed one that stays."""
    lines = [*traces(removals, models_in(models), raw), *look_alikes(removals, decisions)]
    for line in lines:
        logger.warning("scrape: %s", line)


def models_in(models: Path) -> list[Path]:
    """The model folders below a folder."""
    return sorted(path.parent for path in models.glob(f"*/{MODEL_FILE}"))


def traces(removals: Removals, folders: Sequence[Path], raw: Path) -> list[Trace]:
    """Those of the folders, as far as they have a list, that hold a removed picture."""
    meant = frozenset(_removed_keys(raw))
    found = [Trace(folder) for folder in folders if (folder / listing.FILE_NAME).is_file()]
    for trace in found:
        for one in listing.read(trace.folder):
            if one.key in meant or removals.has_picture(one.key, one.sha256):
                trace.keys.setdefault(one.split, []).append(one.key)
    return [trace for trace in found if trace.keys]


def look_alikes(removals: Removals, decisions: Path) -> list[str]:
    """A sentence for each picture that the removals do not name, but that was taken for a near
    duplicate of one that they do, when decisions were last made."""
    columns = ["key", "url", "sha256", "cluster"]
    try:
        table = pq.read_table(decisions / "decisions.parquet", columns=columns)
        rows = table.filter(pc.is_valid(table["cluster"])).to_pylist()
    except (OSError, ValueError, KeyError):
        return []  # none yet, or of another version: they are made anew by the next run
    gone = {row["cluster"]: row["key"] for row in rows if _is_covered(row, removals)}
    return [
        f"{row['url']} ({row['key']}) stays, and is like {gone[row['cluster']]}, which is removed; "
        "add it to the removals if it is to go too"
        for row in rows
        if row["cluster"] in gone and not _is_covered(row, removals)
    ]


def _is_covered(row: dict[str, Any], removals: Removals) -> bool:
    return removals.covers(row["key"], None, row["sha256"])


def _removed_keys(raw: Path) -> Iterator[str]:
    """Keys of the rows that were left out as removed when the raw data was last written."""
    for table in sorted(raw.glob("*.parquet")):
        rows = pq.read_table(table, columns=["key", "reason"]).to_pylist()
        yield from (row["key"] for row in rows if row["reason"] == "removed")
