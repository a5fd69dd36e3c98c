"""The data report: one HTML file, nothing to load from elsewhere, that shows every decision's why.

Captions, URLs and error messages come from outside: the template escapes all of them, and no URL
becomes a link.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pdm.curation.shard.charts import HEIGHT, WIDTH, funnel, histograms
from pdm.curation.shard.thumbnails import thumbnails
from pdm.data.decisions import Row
from pdm.data.manifest import Manifest
from pdm.files import write_text

MAX_KEPT = 60
MAX_PER_REASON = 24
MAX_FAILED = 200

EXPLANATIONS = {
    "unreadable": "The bytes are no whole picture: cut short, damaged, or another kind of file.",
    "animated": "The file holds several frames.",
    "damaged": "The bytes on disk are not those that were fetched.",
    "too_many_pixels": "More pixels than the limit. Such files can be attacks; not decoded.",
    "too_small": "The crop would have to be enlarged.",
    "wrong_shape": "The crop would lose most of the picture.",
    "dark": "Nearly black all over.",
    "light": "Nearly white all over. Transparent parts lie on white.",
    "low_information": "Flat: hardly any contrast, or hardly any edge.",
    "blurry": "Nothing in the crop is in focus.",
    "enlarged": "The fine detail of a smaller picture, although it has enough pixels.",
    "exact_duplicate": "The same file as another one, which is kept.",
    "near_duplicate": "The same picture as another one, in another size, crop or encoding.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What the report is about.

    Args:
        rows: All decisions.
        splits: Split of each kept image, by key.
        failures: Kept images that could not be written after all: key -> why.
        limits: Section `curate` of the params that the decisions were made with.
        manifest: Of the shards.
    """

    rows: list[Row]
    splits: dict[str, str]
    failures: dict[str, str]
    limits: dict[str, Any]
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Section:
    """The pictures that were dropped for one reason."""

    reason: str
    explanation: str
    rows: list[Row]  # the first few
    count: int


def write_report(path: Path, report: Report, raw: Path) -> None:
    """Write the report. Reads the pictures that it shows from `raw` again, on the Ray cluster."""
    by_key = {row["key"]: row for row in report.rows}
    kept = [row for row in report.rows if row["outcome"] == "kept"]
    unfetched = [row for row in report.rows if row["outcome"] != "kept" and not row["sha256"]]
    sections = _sections(report.rows)
    text = _template().render(
        total=len(report.rows),
        kept=kept[:MAX_KEPT],
        num_kept=len(kept),
        sections=sections,
        unfetched=unfetched[:MAX_FAILED],
        num_unfetched=len(unfetched),
        thumbnails=thumbnails(_shown(kept[:MAX_KEPT], sections, by_key), raw),
        by_key=by_key,
        counts=_counts(report.rows),
        funnel=funnel(report.rows, len(report.failures)),
        histograms=histograms(report.rows, report.limits),
        chart={"width": WIDTH, "height": HEIGHT},
        sources=_counted(report.rows, "source"),
        licences=_counted(kept, "licence"),
        splits=report.splits,
        failures=report.failures,
        limits=report.limits,
        manifest=report.manifest,
    )
    write_text(path, text)


def _sections(rows: list[Row]) -> list[Section]:
    """Fetched but not kept, by reason, in the order of the rules; unknown reasons last, by name."""
    dropped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["outcome"] != "kept" and row["sha256"]:
            dropped[row["reason"]].append(row)
    known = list(EXPLANATIONS)
    order = sorted(dropped, key=lambda one: (known.index(one) if one in known else 99, one))
    return [
        Section(
            reason,
            EXPLANATIONS.get(reason, ""),
            dropped[reason][:MAX_PER_REASON],
            len(dropped[reason]),
        )
        for reason in order
    ]


def _shown(kept: list[Row], sections: list[Section], by_key: dict[str, Row]) -> list[Row]:
    """The rows whose pictures appear, each once, in key order."""
    dropped = [row for section in sections for row in section.rows]
    keepers = [by_key[row["duplicate_of"]] for row in dropped if row["duplicate_of"]]
    shown = {row["key"]: row for row in (*kept, *dropped, *keepers)}
    return [shown[key] for key in sorted(shown)]


def _template() -> Any:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _counts(rows: list[Row]) -> list[tuple[str, str, int]]:
    counted = Counter((str(row["outcome"]), str(row["reason"] or "")) for row in rows)
    order = {"kept": 0, "dropped": 1, "failed": 2}
    listed = sorted(counted.items(), key=lambda item: (order[item[0][0]], -item[1], item[0][1]))
    return [(outcome, reason, count) for (outcome, reason), count in listed]


def _counted(rows: list[Row], column: str) -> list[tuple[str, int]]:
    return sorted(Counter(str(row[column] or "not stated") for row in rows).items())
