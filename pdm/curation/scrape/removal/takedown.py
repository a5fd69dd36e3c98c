"""Finds data that still contains removed pictures, and models that were trained on them.

The stages remove the pictures from raw data, caches, shards and latents in the next run. A model
cannot unlearn them, so it is reported. Near duplicates from other places are reported too: one of
them would take the removed picture's place.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pdm.curation.scrape.removal.removal_list import Removals, read_removals
from pdm.data.parquet import read_table
from pdm.data.shards import listing
from pdm.errors import BadInput, QualityGate

logger = logging.getLogger(__name__)

DATA = (Path("data/shards"), Path("data/latents"))
MODELS = Path("models")
RUNS = Path("runs")  # a finished run keeps its model
MODEL_FILE = "model.safetensors"
MAX_KEYS = 10  # in a line of the log
VERBS_OF_MODEL = {"train": "trained on", "val": "held out"}
VERBS_OF_DATA = {"train": "train split contains", "val": "val split contains"}


@dataclass(frozen=True, slots=True)
class Trace:
    """The removed pictures that a folder of data or a model contains: keys by split."""

    folder: Path
    keys: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """Such as "models/autoencoder: trained on 2 removed pictures (1f..., 8a...)"."""
        verbs = VERBS_OF_MODEL if (self.folder / MODEL_FILE).is_file() else VERBS_OF_DATA
        parts = []
        for split, keys in sorted(self.keys.items()):
            count = f"{len(keys):,} removed image{'s' if len(keys) > 1 else ''}"
            more = ", ..." if len(keys) > MAX_KEYS else ""
            names = f"{', '.join(keys[:MAX_KEYS])}{more}"
            parts.append(f"{verbs.get(split, split)} {count} ({names})")
        return f"{self.folder}: {'; '.join(parts)}"


def report_removed(path: str | None, folders: Sequence[Path], *, raw: Path, decisions: Path) -> str:
    """Search folders of data and models for removed pictures, and log one line for each folder.

    Args:
        path: The list of removals.
        folders: Each with a `pictures.txt`; empty means data and models in their usual places.
        raw: Raw data; its rows know URLs that were removed under another spelling.
        decisions: Curation's decisions, which know near duplicates; may be absent.

    Returns:
        A sentence, if nothing was found.

    Raises:
        BadInput: There is no list of removals, or no folder to search.
        QualityGate: A folder contains a removed picture, a model was trained on one, or a folder
            has no `pictures.txt`.
    """
    if path is None:
        raise BadInput("there is no list of removals; set scrape.removed, or use --removals FILE")
    usual = [folder for folder in (*DATA, *_usual_models()) if folder.is_dir()]
    searched = list(folders) or usual
    if not searched:
        raise BadInput("there are no shards, latents or models yet; name folders to search")
    removals = read_removals(path)
    traces = find_traces(removals, searched, raw)
    for trace in traces:
        logger.error("%s", trace)
    for line in find_look_alikes(removals, decisions):
        logger.warning("%s", line)
    unlisted = [folder for folder in searched if _list_of(folder) is None]
    for folder in unlisted:
        logger.error("%s: %s, so its images are unknown", folder, _why_unlisted(folder))
    if traces or unlisted:
        raise QualityGate(
            f"{len(traces)} of {len(searched)} folders contain removed images or were trained on "
            f"them, {len(unlisted)} have no list of their images. `pyramid run` makes data and "
            "models without them; then `dvc gc --workspace` deletes old versions; delete the "
            "folders of runs/ that are named here by hand"
        )
    return f"no removed image in {', '.join(map(str, searched))}"


def warn_of_traces(removals: Removals, *, models: Path, raw: Path, decisions: Path) -> None:
    """Log a warning for each model below `models` that was trained on a removed picture, and for
    each near duplicate of a removed picture that stays."""
    lines = [
        *find_traces(removals, find_models(models), raw),
        *find_look_alikes(removals, decisions),
    ]
    for line in lines:
        logger.warning("scrape: %s", line)


def find_models(models: Path) -> list[Path]:
    """The model folders below a folder."""
    return sorted(path.parent for path in models.glob(f"*/{MODEL_FILE}"))


def _usual_models() -> list[Path]:
    """The models that stages wrote, and those that their runs keep."""
    return find_models(MODELS) + sorted(
        path.parent for path in RUNS.glob(f"*/*/model/{MODEL_FILE}")
    )


def find_traces(removals: Removals, folders: Sequence[Path], raw: Path) -> list[Trace]:
    """Traces in those folders whose list of pictures is known."""
    removed_keys = frozenset(_removed_keys(raw))
    lists = {folder: found for folder in folders if (found := _list_of(folder)) is not None}
    traces = [Trace(folder) for folder in lists]
    for trace in traces:
        for picture in listing.read(lists[trace.folder]):
            if picture.key in removed_keys or removals.matches_picture(picture.key, picture.sha256):
                trace.keys.setdefault(picture.split, []).append(picture.key)
    return [trace for trace in traces if trace.keys]


def _list_of(folder: Path) -> Path | None:
    """The folder that has its list: a model from MLflow names one of data or models by digest."""
    return listing.find(folder, [*DATA, *_usual_models()])


def _why_unlisted(folder: Path) -> str:
    digest = listing.read_summary(folder).get("sha256")
    if digest is None:
        return f"has no {listing.FILE_NAME}"
    return (
        f"no {listing.FILE_NAME} here has the digest {digest} that it names; `dvc checkout` the "
        "data of its run"
    )


def find_look_alikes(removals: Removals, decisions: Path) -> list[str]:
    """A sentence for each picture that is not removed, but was a near duplicate of a removed one
    when decisions were last made."""
    columns = ["key", "url", "sha256", "cluster"]
    try:
        table = pq.read_table(decisions / "decisions.parquet", columns=columns)
        rows = table.filter(pc.is_valid(table["cluster"])).to_pylist()
    except (OSError, ValueError, KeyError):
        return []  # no decisions yet, or of another version: the next run makes them
    removed = {row["cluster"]: row["key"] for row in rows if _is_removed(row, removals)}
    return [
        f"{row['url']} ({row['key']}) stays, but is a near duplicate of the removed "
        f"{removed[row['cluster']]}; add it to the removals to remove it too"
        for row in rows
        if row["cluster"] in removed and not _is_removed(row, removals)
    ]


def _is_removed(row: dict[str, Any], removals: Removals) -> bool:
    return removals.matches_picture(row["key"], row["sha256"])


def _removed_keys(raw: Path) -> Iterator[str]:
    """Keys of the raw data's rows that were dropped as removed."""
    for table in sorted(raw.glob("*.parquet")):
        advice = "run `pyramid scrape` again"
        rows = read_table(table, advice, columns=["key", "reason"]).to_pylist()
        yield from (row["key"] for row in rows if row["reason"] == "removed")
