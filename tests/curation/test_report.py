"""The report: complete, safe, and of one file."""

import re

import pytest
from curation_pictures import CURATE, SHARD, flawed, jpeg, scene, write_raw

from pdm.curation.curate import curate
from pdm.curation.shard import shard
from pdm.curation.shard.charts import funnel, histograms
from pdm.data.decisions import load

HOSTILE = '<script>alert("caption")</script>'


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("report")
    good = {f"good-{number}": jpeg(scene(number)) for number in range(6)}
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


@pytest.mark.parametrize("reason", [*sorted(flawed()), "http_404"])
def test_every_reason_appears(text, reason):
    assert f">{reason}<" in text


def test_every_sentence_appears(folder, text):
    for row in load(folder / "decisions"):
        if row["detail"] and "'" not in row["detail"]:
            assert row["detail"] in text


def test_text_from_outside_is_escaped(folder, text):
    assert "<script" not in text
    assert "&lt;script&gt;alert" in text
    assert 'href="javascript' not in text
    card = (folder / "shards" / "README.md").read_text()
    assert "<b>" not in card
    assert "&lt;b&gt;\\|" in card


def test_nothing_is_loaded_from_elsewhere(text):
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,|#)', text) == []
    assert "default-src 'none'" in text


def test_kept_pictures_show_their_crop_and_duplicates_their_keeper(text):
    assert text.count('class="crop"') == 6
    assert text.count("kept instead") == 2


def test_the_funnel_ends_with_the_crops(folder):
    rows = load(folder / "decisions")
    steps = funnel(rows, num_failures=1)
    assert [step.left for step in steps] == [18, 17, 16, 13, 13, 10, 10, 8, 6, 5]
    lost = sum(count for step in steps for _, count in step.lost)
    assert steps[0].left - lost == steps[-1].left


def test_the_histograms_count_every_measured_picture_and_draw_the_limits(folder):
    rows = load(folder / "decisions")
    limits = {name: getattr(CURATE, name) for name in CURATE.__slots__}
    charts = histograms(rows, limits)
    assert len(charts) == 5
    for chart in charts:
        in_bars = sum(int(number) for bar in chart.bars for number in re.findall(r"\d+", bar.label))
        assert in_bars == chart.num_images == 15
    assert [place for place, _ in charts[4].limits] == [32.0, 368.0]
