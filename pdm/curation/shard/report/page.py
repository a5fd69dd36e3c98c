"""The data report: one HTML file, nothing to load from elsewhere, that shows every decision's why.

It stays of one size, however many rows there are: charts have fixed numbers of bars, every section
shows a few pictures and says of how many. Captions, URLs and error messages come from outside: the
template escapes all of them, and no URL becomes a link.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pdm.curation.limits import DIFFERENCE, SCORES, Score, aspect_ratio
from pdm.curation.shard.report import charts, selection
from pdm.curation.shard.report.charts import Histogram, histogram, size_map
from pdm.curation.shard.report.funnel import funnel
from pdm.curation.shard.report.reasons import explanation
from pdm.curation.shard.report.selection import CloseCalls, Group, Sample
from pdm.curation.shard.report.table import Decided
from pdm.curation.shard.report.thumbnails import thumbnails
from pdm.data.shards.manifest import Manifest
from pdm.files import write_text

MAX_LISTED = 25  # lines of a table
# What only shows pixel for pixel: scores and reasons whose pictures come with a detail.
DETAILED_SCORES = ("blocking", "sharpness", "repetition", "high_frequency")
DETAILED_REASONS = ("blocky", "blurry", "enlarged")


@dataclass(frozen=True, slots=True)
class Report:
    """What the report is about.

    Args:
        decisions: Folder of the table of decisions.
        splits: Split of each kept image, by key.
        failures: Kept images that could not be written after all: key -> why.
        limits: Section `curate` of the params that the decisions were made with.
        manifest: Of the shards.
    """

    decisions: Path
    splits: dict[str, str]
    failures: dict[str, str]
    limits: dict[str, Any]
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class ScorePanel:
    """A score, its distribution, and the pictures nearest to each of its limits."""

    score: Score
    chart: Histogram
    calls: list[CloseCalls]

    @property
    def wide(self) -> bool:
        """Whether any picture stands beside its chart."""
        return any(call.outside.keys or call.inside.keys for call in self.calls)

    @property
    def detailed(self) -> bool:
        """Whether its pictures come with a detail."""
        return self.score.name in DETAILED_SCORES

    @property
    def paired(self) -> bool:
        """Whether its pictures come with the one that they are nearest to."""
        return self.score is DIFFERENCE


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that the report shows, by section."""

    kept: Sample
    dropped: dict[str, Sample]
    groups: list[Group]
    num_groups: int
    unfetched: dict[str, Sample]
    panels: list[ScorePanel]

    def keys(self) -> set[str]:
        """Of all of them, each once."""
        samples = [self.kept, *self.dropped.values(), *self.unfetched.values()]
        samples += [one.duplicates for one in self.groups]
        samples += [side for call in self._calls() for side in (call.outside, call.inside)]
        keepers = {one.keeper for one in self.groups}
        return keepers | {key for sample in samples for key in sample.keys}

    def detailed(self) -> set[str]:
        """Those that are shown with a detail."""
        samples = [self.dropped[reason] for reason in DETAILED_REASONS if reason in self.dropped]
        panels = [panel for panel in self.panels if panel.detailed]
        for call in (call for panel in panels for call in panel.calls):
            samples += [call.outside, call.inside]
        return {key for sample in samples for key in sample.keys}

    def _calls(self) -> Iterator[CloseCalls]:
        return (call for panel in self.panels for call in panel.calls)


def write_report(path: Path, report: Report, raw: Path) -> None:
    """Write the report. Reads the pictures that it shows from `raw` again, on the Ray cluster."""
    decided = Decided(report.decisions)
    shown = _pictures(decided, report)
    rows = decided.rows(sorted(shown.keys()))
    rows |= decided.rows(sorted({row["nearest"] for row in rows.values() if row["nearest"]}))
    outcomes = decided.outcomes()
    everything = np.ones(len(decided), dtype=bool)
    text = _template().render(
        total=len(decided),
        outcomes=outcomes,
        funnel=funnel(outcomes, len(report.failures)),
        shown=shown,
        rows=rows,
        thumbnails=thumbnails(rows.values(), shown.detailed(), raw),
        explanation=explanation,
        sizes=_sizes(decided, report),
        shapes=_shapes(decided, report),
        charts=charts,
        formats=_longest(decided.counts(("format", "mode"), decided.fetched)),
        sources=_longest(decided.counts(("source",), everything)),
        licences=_longest(decided.counts(("licence",), decided.kept)),
        authors=_longest(decided.counts(("author",), decided.kept)),
        splits=report.splits,
        failures=report.failures,
        limits=report.limits,
        manifest=report.manifest,
    )
    write_text(path, text)


def _pictures(decided: Decided, report: Report) -> Pictures:
    found, num_groups = selection.groups(decided)
    return Pictures(
        selection.kept(decided),
        selection.dropped(decided),
        found,
        num_groups,
        selection.unfetched(decided),
        list(_panels(decided, report)),
    )


def _panels(decided: Decided, report: Report) -> Iterator[ScorePanel]:
    for score in (*SCORES, DIFFERENCE):
        values = score.values(*decided.numbers(*score.needs()))
        chart = histogram(score, values, decided, report.limits)
        if chart:
            calls = [
                selection.close_calls(score, bound, values, decided)
                for bound in score.bounds(report.limits)
            ]
            yield ScorePanel(score, chart, calls)


def _sizes(decided: Decided, report: Report) -> charts.SizeMap:
    target = (report.limits["width_px"], report.limits["height_px"])
    widths, heights = decided.numbers("width_px", "height_px")
    return size_map(widths, heights, decided.kept, target)


def _shapes(decided: Decided, report: Report) -> Histogram | None:
    score = aspect_ratio(report.limits)
    return histogram(score, score.values(*decided.numbers(*score.needs())), decided, report.limits)


def _longest(counts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The most frequent ones, and the sum of all others."""
    others = counts[MAX_LISTED:]
    rest = [(f"{len(others):,} others", sum(count for _, count in others))] if others else []
    return counts[:MAX_LISTED] + rest


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["sentence"] = lambda text: f"{text[:1].upper()}{text[1:]}."
    environment.filters["words"] = lambda reason: reason.replace("_", " ")
    return environment.get_template("report.html")
