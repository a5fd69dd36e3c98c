"""The data report: one self-contained HTML file that shows the decisions and their reasons.

Its size does not grow with the number of rows: charts have fixed numbers of bars, and every section
shows a few pictures and the number of all. Captions, URLs and error messages are untrusted: the
template escapes all of them, and no URL becomes a link.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Template

from pdm.curation.limits import Score
from pdm.curation.score_table import DIFFERENCE, SCORES, aspect_ratio
from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.report import charts, selection
from pdm.curation.shard.report.captions import caption_facts, kept_captions
from pdm.curation.shard.report.charts import Histogram, histogram, size_map
from pdm.curation.shard.report.funnel import funnel
from pdm.curation.shard.report.reasons import explain_reason, words_of
from pdm.curation.shard.report.selection import CloseCalls, Group, Sample
from pdm.curation.shard.report.table import DecisionTable
from pdm.curation.shard.report.thumbnails import make_thumbnails
from pdm.data.annotations.captions import captions_of
from pdm.data.shards.buckets import Bucket, buckets_of, has_buckets
from pdm.data.shards.manifest import Manifest
from pdm.files import write_text
from pdm.pages.template import page_template

BUCKET_REASONS = ("too_small", "wrong_shape")  # what another list of buckets could change
MAX_LISTED = 25  # lines of a table
# Scores and reasons whose pictures are shown with a detail, pixel for pixel.
DETAILED_SCORES = ("blocking", "sharpness", "repetition", "high_frequency")
DETAILED_REASONS = ("blocky", "blurry", "enlarged")


@dataclass(frozen=True, slots=True)
class Report:
    """The data that the report is about.

    Args:
        decisions: Folder of the table of decisions.
        splits: Split of each kept image, by key.
        failures: Kept images that could not be written: key -> why.
        limits: Section `curate` of the params of the decisions.
        manifest: Of the shards.
        boxes: Counts of the boxes of the crops.
    """

    decisions: Path
    splits: dict[str, str]
    failures: dict[str, str]
    limits: dict[str, Any]
    manifest: Manifest
    boxes: BoxCounts = field(default_factory=BoxCounts)


@dataclass(frozen=True, slots=True)
class ScorePanel:
    """A score with its distribution and the pictures nearest to each of its limits."""

    score: Score
    chart: Histogram
    calls: list[CloseCalls]

    @property
    def wide(self) -> bool:
        """Whether there are pictures beside its chart."""
        return any(call.outside.keys or call.inside.keys for call in self.calls)

    @property
    def detailed(self) -> bool:
        """Whether its pictures are shown with a detail."""
        return self.score.name in DETAILED_SCORES

    @property
    def paired(self) -> bool:
        """Whether its pictures are shown with the picture that they are nearest to."""
        return self.score is DIFFERENCE


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """The pictures whose shape is nearest to one bucket."""

    bucket: Bucket
    num_images: int  # kept or not
    dropped: dict[str, int]  # for size or shape
    median_reduction: float | None  # of the kept ones' crops; None without any


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
        """Keys of all pictures."""
        samples = [self.kept, *self.dropped.values(), *self.unfetched.values()]
        samples += [one.duplicates for one in self.groups]
        samples += [side for call in self._calls() for side in (call.outside, call.inside)]
        keepers = {one.keeper for one in self.groups}
        return keepers | {key for sample in samples for key in sample.keys}

    def detailed(self) -> set[str]:
        """Keys of the pictures that are shown with a detail."""
        samples = [self.dropped[reason] for reason in DETAILED_REASONS if reason in self.dropped]
        panels = [panel for panel in self.panels if panel.detailed]
        for call in (call for panel in panels for call in panel.calls):
            samples += [call.outside, call.inside]
        return {key for sample in samples for key in sample.keys}

    def _calls(self) -> Iterator[CloseCalls]:
        return (call for panel in self.panels for call in panel.calls)


def write_report(path: Path, report: Report, raw: Path) -> None:
    """Write the report. Its pictures are read from `raw` on the Ray cluster."""
    decisions = DecisionTable(report.decisions)
    shown = _pictures(decisions, report)
    rows = decisions.rows(sorted(shown.keys()))
    rows |= decisions.rows(sorted({row["nearest"] for row in rows.values() if row["nearest"]}))
    outcomes = decisions.outcomes()
    everything = np.ones(len(decisions), dtype=bool)
    text = _template().render(
        total=len(decisions),
        outcomes=outcomes,
        funnel=funnel(outcomes, len(report.failures)),
        shown=shown,
        rows=rows,
        thumbnails=make_thumbnails(rows.values(), shown.detailed(), raw),
        explanation=explain_reason,
        sizes=_sizes(decisions, report),
        smallest_sides=_smallest_sides(report.limits),
        buckets=_count_buckets(decisions, report.manifest),
        shapes=_shapes(decisions, report),
        charts=charts,
        formats=_most_frequent(decisions.counts(("format", "mode"), decisions.fetched)),
        sources=_most_frequent(decisions.counts(("source",), everything)),
        licences=_most_frequent(decisions.counts(("licence",), decisions.kept)),
        authors=_most_frequent(decisions.counts(("author",), decisions.kept)),
        captions=caption_facts(kept_captions(decisions)),
        boxes=report.boxes,
        boxes_by_class=_most_frequent(report.boxes.by_class.most_common()),
        splits=report.splits,
        failures=report.failures,
        limits=report.limits,
        manifest=report.manifest,
    )
    write_text(path, text)


def _pictures(decisions: DecisionTable, report: Report) -> Pictures:
    found, num_groups = selection.largest_groups(decisions)
    return Pictures(
        selection.sample_kept(decisions),
        selection.sample_dropped(decisions),
        found,
        num_groups,
        selection.sample_unfetched(decisions),
        list(_panels(decisions, report)),
    )


def _panels(decisions: DecisionTable, report: Report) -> Iterator[ScorePanel]:
    for score in (*SCORES, DIFFERENCE):
        values = score.values(*decisions.numbers(*score.needs()))
        chart = histogram(score, values, decisions, report.limits)
        if chart:
            calls = [
                selection.find_close_calls(score, bound, values, decisions)
                for bound in score.bounds(report.limits)
            ]
            yield ScorePanel(score, chart, calls)


def _sizes(decisions: DecisionTable, report: Report) -> charts.SizeMap:
    target = _smallest_sides(report.limits)
    widths, heights = decisions.numbers("width_px", "height_px")
    return size_map(widths, heights, decisions.kept, target)


def _smallest_sides(limits: dict[str, Any]) -> tuple[int, int]:
    """The width and the height below which no picture is large enough for any crop."""
    sizes = limits.get("buckets") or [(limits["width_px"], limits["height_px"])]
    return min(width for width, _ in sizes), min(height for _, height in sizes)


def _count_buckets(decisions: DecisionTable, manifest: Manifest) -> list[BucketCounts]:
    """The pictures of each bucket; none if all crops have one size."""
    if not has_buckets(manifest.facts):
        return []
    columns = ("target_width_px", "target_height_px", "crop_width_px")
    widths, heights, cropped = decisions.numbers(*columns)
    found = []
    for bucket in buckets_of(manifest):
        here = (widths == bucket.size[0]) & (heights == bucket.size[1])
        times = cropped[here & decisions.kept] / bucket.size[0]
        found.append(
            BucketCounts(
                bucket,
                num_images=int(here.sum()),
                dropped={
                    reason: int((here & decisions.dropped_for(reason)).sum())
                    for reason in BUCKET_REASONS
                },
                median_reduction=float(np.median(times)) if len(times) else None,
            )
        )
    return found


def _shapes(decisions: DecisionTable, report: Report) -> Histogram | None:
    score = aspect_ratio(report.limits)
    return histogram(
        score, score.values(*decisions.numbers(*score.needs())), decisions, report.limits
    )


def _most_frequent(counts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The most frequent names and their counts, and the sum of all others."""
    others = counts[MAX_LISTED:]
    rest = [(f"{len(others):,} others", sum(count for _, count in others))] if others else []
    return counts[:MAX_LISTED] + rest


def _template() -> Template:
    return page_template(
        Path(__file__).with_name("report.html"),
        number=lambda value: f"{value:,}",
        captions_of=captions_of,
        sentence=lambda text: f"{text[:1].upper()}{text[1:]}.",
        words=words_of,
        heading=lambda text: f"{text[:1].upper()}{text[1:]}",
    )
