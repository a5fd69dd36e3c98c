"""The report: complete, safe, of one file, and of one size."""

import dataclasses
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from curation_pictures import CURATE, SHARD, flawed, jpeg, key_of, scene, write_raw

from pdm.curation.curate import curate
from pdm.curation.score_table import DIFFERENCE, SCORES, aspect_ratio
from pdm.curation.shard import shard
from pdm.curation.shard.report import selection
from pdm.curation.shard.report.charts import histogram, size_map
from pdm.curation.shard.report.funnel import funnel
from pdm.curation.shard.report.reasons import words_of
from pdm.curation.shard.report.table import DecisionTable
from pdm.curation.shard.report.thumbnails import make_thumbnails
from pdm.data.decisions import load

HOSTILE = '<script>alert("caption")</script>'
LIMITS = {name: getattr(CURATE, name) for name in CURATE.__slots__}
NUM_GOOD = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("report")
    good = {f"good-{number}": jpeg(scene(number)) for number in range(NUM_GOOD)}
    hostile = {"caption": HOSTILE, "url": "javascript:alert(1)", "licence": "<b>|`x`"}
    write_raw(folder / "raw", good | flawed(), **hostile)
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    shard(
        SHARD,
        raw=folder / "raw",
        decisions=folder / "decisions",
        shards=folder / "shards",
        report=folder / "report.html",
    )
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def decided(folder):
    return DecisionTable(folder / "decisions")


class Page(HTMLParser):
    """Attributes of every element, and that each is closed where it should be."""

    EMPTY = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("reason", [*sorted(flawed()), "http_404"])
def test_every_reason_appears(text, reason):
    assert f">{words_of(reason)}<" in text


def test_every_sentence_appears(folder, text):
    plain = html.unescape(text)
    details = [row["detail"] for row in load(folder / "decisions") if row["detail"]]
    assert details
    assert all(detail in plain for detail in details)


def test_text_from_outside_is_escaped(folder, text):
    assert "<script" not in text
    assert "&lt;script&gt;alert" in text
    assert 'href="javascript' not in text
    card = (folder / "shards" / "README.md").read_text()
    assert "<b>" not in card
    assert "&lt;b&gt;\\|" in card


def test_nothing_is_loaded_from_elsewhere(text):
    assert re.findall(r'(?:src|href)="(?!data:image/webp;base64,|#)', text) == []
    assert "default-src 'none'" in text


def test_the_page_is_self_contained_and_accessible(text):
    page = Page(text)
    assert all(picture["alt"] for picture in page.all("img"))
    assert all(chart["aria-label"] for chart in page.all("svg"))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert {link["href"][1:] for link in page.all("a")} <= set(names)
    assert page.all("a")[0]["class"] == "skip"
    assert page.all("html") == [{"lang": "en"}]
    assert "prefers-color-scheme: dark" in text


def test_kept_pictures_show_their_crop_and_duplicates_their_keeper(text):
    assert text.count('class="crop"') == NUM_GOOD
    assert text.count('class="ribbon kept"') == 1
    assert text.count('class="ribbon"') == 2
    assert "Differs by" in text


def test_soft_pictures_are_shown_pixel_for_pixel(folder):
    rows = [row for row in load(folder / "decisions") if row["reason"] in ("blurry", "dark")]
    blurry, dark = sorted(rows, key=lambda row: row["reason"])
    made = make_thumbnails(rows, {blurry["key"]}, folder / "raw")
    assert made[blurry["key"]].detail
    assert made[dark["key"]].detail is None


def test_a_file_that_was_never_decoded_is_not_decoded_for_the_report(folder):
    rows = load(folder / "decisions")
    hostile = [row for row in rows if row["reason"] in ("unreadable", "too_many_pixels")]
    assert len(hostile) == 2
    assert make_thumbnails(hostile, set(), folder / "raw") == {}


def test_the_funnel_ends_with_the_crops(decided):
    steps = funnel(decided.outcomes(), num_failures=1)
    assert [step.left for step in steps] == [18, 17, 16, 13, 10, 10, 8, 6, 5]
    lost = sum(count for step in steps for _, count in step.lost)
    assert steps[0].left - lost == steps[-1].left


def test_steps_of_rules_that_are_off_are_not_in_the_funnel():
    titles = [step.title for step in funnel({("kept", ""): 3, ("dropped", "dark"): 1}, 0)]
    assert "people, faces whole" not in titles
    crowded = funnel({("kept", ""): 3, ("dropped", "crowd"): 1}, 0)
    assert [step.left for step in crowded if step.title == "people, faces whole"] == [3]


@pytest.mark.parametrize("score", SCORES, ids=[score.name for score in SCORES])
def test_each_histogram_counts_every_measured_picture_on_one_side_of_each_limit(score, decided):
    values = score.values(*decided.numbers(*score.needs()))
    chart = histogram(score, values, decided, LIMITS)
    if score.name in ("num_people", "likeness"):  # neither was asked for
        assert chart is None
        return
    in_bars = sum(int(number) for bar in chart.bars for number in re.findall(r"\d+", bar.label))
    assert in_bars == chart.num_images == (~np.isnan(values)).sum()
    assert [line.bound.name for line in chart.lines] == [b.name for b in score.bounds(LIMITS)]
    for line in chart.lines:
        assert line.num_inside + line.num_outside == chart.num_images
        assert line.num_dropped <= line.num_outside


def test_a_limit_is_drawn_at_its_value(decided):
    [score] = [score for score in SCORES if score.name == "brightness"]
    chart = histogram(score, *decided.numbers("brightness"), decided, LIMITS)
    assert [line.place for line in chart.lines] == [36.8, 423.2]  # 0.08 and 0.92 of 460
    dark, light = chart.lines
    assert (dark.num_outside, dark.num_dropped) == (1, 1)
    assert light.num_outside == 1


def test_the_shapes_are_held_against_what_the_crop_must_keep(decided):
    score = aspect_ratio(LIMITS)
    chart = histogram(score, score.values(*decided.numbers(*score.needs())), decided, LIMITS)
    assert [(line.bound.value, line.num_dropped) for line in chart.lines] == [(1.0, 1), (4.0, 0)]


def test_the_map_of_sizes_counts_every_picture(decided):
    widths, heights = decided.numbers("width_px", "height_px")
    found = size_map(widths, heights, decided.kept, (256, 128))
    counted = [int(cell.label.split(": ")[1].split(",")[0]) for cell in found.cells]
    assert sum(counted) == found.num_images == 17
    # 64 pixels stand at 0, 16,384 at 300: eight doublings
    assert found.target == (75.0, 37.5)


def test_close_calls_lie_on_both_sides_of_a_limit_the_nearest_first(folder, decided):
    rows = {row["key"]: row for row in load(folder / "decisions")}
    [score] = [score for score in SCORES if score.name == "room"]
    [bound] = score.bounds(LIMITS)
    calls = selection.find_close_calls(
        score, bound, score.values(*decided.numbers(*score.needs())), decided
    )
    assert [rows[key]["reason"] for key in calls.outside.keys] == ["too_small"]
    values = [score.of(rows[key]) for key in calls.inside.keys]
    assert calls.inside.count == NUM_GOOD
    assert values == sorted(values)
    assert all(value >= 1 for value in values)


def test_a_duplicate_is_a_close_call_beside_its_nearest_picture(folder, decided, text):
    rows = {row["key"]: row for row in load(folder / "decisions")}
    [copy] = [row for row in rows.values() if row["reason"] == "near_duplicate"]
    assert copy["nearest"] == copy["duplicate_of"]
    assert rows[copy["nearest"]]["difference"] is None
    [bound] = DIFFERENCE.bounds({"near_duplicate_difference": 1.5 * copy["difference"]})
    calls = selection.find_close_calls(DIFFERENCE, bound, *decided.numbers("difference"), decided)
    assert (calls.outside.keys, calls.inside.keys) == ([copy["key"]], [])
    assert "Difference from the nearest kept image" in text


def test_one_face_less_is_a_close_call(folder, decided):
    """Nothing is within a factor of two of one face but one face and two."""
    [people] = [score for score in SCORES if score.name == "num_people"]
    [bound, _] = people.bounds({"people": {"min_faces": 1, "max_faces": 4}})
    kept = np.flatnonzero(decided.kept)
    faces = np.full(len(decided), np.nan)
    faces[kept[:4]] = [1, 2, 3, 0]
    calls = selection.find_close_calls(people, bound, faces, decided)
    assert calls.inside.keys == decided.keys(kept[:2])
    faces[~decided.dropped_for("blurry")] = np.nan
    faces[decided.dropped_for("blurry")] = 0
    called_blurry = dataclasses.replace(bound, reason="blurry")
    assert selection.find_close_calls(people, called_blurry, faces, decided).outside.count == 1


def test_a_group_is_its_keeper_and_its_duplicates(folder, decided):
    [group], count = selection.largest_groups(decided)
    assert count == 1
    rows = {row["key"]: row for row in load(folder / "decisions")}
    assert group.keeper in (key_of("good-0"), key_of("exact_duplicate"))
    assert group.duplicates.count == 2
    assert all(rows[key]["duplicate_of"] == group.keeper for key in group.duplicates.keys)
