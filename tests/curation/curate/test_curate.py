"""The stage, on Ray Data, on pictures that are each flawed in one way."""

import json
import logging
import shutil

import pytest
from curation_pictures import CURATE, but, flawed, jpeg, key_of, scene, write_raw
from PIL import Image

from pdm.curation.curate import curate
from pdm.curation.curate.duplicates.small import NUM_BYTES
from pdm.data.decisions import load
from pdm.data.shards.tars import read_members
from pdm.errors import BadInput, QualityGate

pytestmark = pytest.mark.usefixtures("ray_cluster")

NUM_GOOD = 8
GOOD = {f"good-{number}": jpeg(scene(number)) for number in range(NUM_GOOD)}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curate") / "raw"
    write_raw(folder, GOOD | flawed())
    return folder


@pytest.fixture(scope="module")
def decided(raw, tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("curate") / "decisions"
    curate(CURATE, raw=raw, decisions=folder)
    return folder


def by_name(folder):
    return {row["url"].rsplit("/")[-1]: row for row in load(folder)}


@pytest.mark.parametrize("kind", sorted(flawed()))
def test_each_flaw_is_caught_and_named(decided, kind):
    row = by_name(decided)[kind]
    if kind == "exact_duplicate":  # of two equal files the one with the smaller key stays
        row = max((row, by_name(decided)["good-0"]), key=lambda one: one["key"])
    assert (row["outcome"], row["reason"]) == ("dropped", kind)
    assert row["detail"].endswith(".")


def test_good_pictures_are_kept_with_a_crop_inside_them(decided):
    rows = [row for row in load(decided) if row["outcome"] == "kept"]
    assert len(rows) == NUM_GOOD
    for row in rows:
        assert row["reason"] is None
        assert row["crop_width_px"] >= row["target_width_px"] == 256
        assert row["crop_height_px"] >= row["target_height_px"] == 128
        assert row["crop_left_px"] + row["crop_width_px"] <= row["width_px"]
        assert row["crop_top_px"] + row["crop_height_px"] <= row["height_px"]
        assert len(row["small"]) == NUM_BYTES


def test_a_row_that_was_not_fetched_passes_through(decided):
    row = by_name(decided)["missing"]
    assert (row["outcome"], row["reason"]) == ("dropped", "http_404")
    assert row["detail"] == "HTTP Error 404: Not Found"


def test_duplicates_name_the_picture_that_is_kept(decided):
    rows = {row["key"]: row for row in load(decided)}
    copies = [row for row in rows.values() if row["duplicate_of"]]
    assert {row["reason"] for row in copies} == {"exact_duplicate", "near_duplicate"}
    assert all(rows[row["duplicate_of"]]["outcome"] == "kept" for row in copies)


def test_a_letterboxed_copy_is_the_same_picture_and_its_bars_count_for_nothing(tmp_path):
    letterboxed = Image.new("RGB", (320, 320))
    letterboxed.paste(scene(0), (0, 60))
    files = {"plain": jpeg(scene(0)), "bars": jpeg(letterboxed, 95), "other": jpeg(scene(1))}
    write_raw(tmp_path / "raw", files)
    curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    rows = by_name(tmp_path / "decisions")
    assert rows["bars"]["border_share"] > 0.3
    assert (rows["bars"]["reason"], rows["bars"]["duplicate_of"]) == (
        "near_duplicate",
        rows["plain"]["key"],
    )
    assert rows["other"]["outcome"] == "kept"


def test_there_is_one_row_for_each_raw_row_and_the_counts_add_up(decided):
    rows = load(decided)
    assert [row["key"] for row in rows] == sorted(
        key_of(name) for name in [*GOOD, *flawed(), "missing"]
    )
    summary = json.loads((decided / "summary.json").read_text())
    assert summary["total"] == len(rows) == sum(summary["outcomes"].values())
    for outcome in ("dropped", "failed"):
        assert sum(summary["reasons"][outcome].values()) == summary["outcomes"][outcome]


def test_another_order_of_the_raw_shards_gives_the_same_bytes(decided, tmp_path):
    files = GOOD | flawed()
    write_raw(tmp_path / "raw", dict(reversed(files.items())), num_shards=1)
    curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    places = ("tar", "member", "offset", "size")
    one, other = (
        [{name: value for name, value in row.items() if name not in places} for row in load(folder)]
        for folder in (decided, tmp_path / "decisions")
    )
    assert one == other


def test_a_second_run_gives_the_same_bytes_and_logs_the_summary(raw, decided, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        counts = curate(CURATE, raw=raw, decisions=tmp_path / "again")
    assert counts == {"kept": 8, "dropped": 12, "failed": 0}
    for name in ("decisions.parquet", "summary.json"):
        assert (tmp_path / "again" / name).read_bytes() == (decided / name).read_bytes()
    assert "curate: 20 images: 8 kept; dropped 12 (blurry 1, dark 1, enlarged 1" in caplog.text
    assert "http_404 1" in caplog.text


def test_too_few_kept_publishes_nothing(raw, decided, tmp_path):
    shutil.copytree(decided, tmp_path / "decisions")
    before = (tmp_path / "decisions" / "decisions.parquet").read_bytes()
    with pytest.raises(QualityGate, match=r"8 kept; dropped 12 .*blurry 1.*At least 9"):
        curate(but(CURATE, min_kept=9), raw=raw, decisions=tmp_path / "decisions")
    assert (tmp_path / "decisions" / "decisions.parquet").read_bytes() == before


def test_bytes_that_changed_after_fetching_are_a_failure(tmp_path):
    write_raw(tmp_path / "raw", GOOD, num_shards=1)
    tar = tmp_path / "raw" / "00000.tar"
    content = tar.read_bytes()
    picture = read_members(tar)[f"{key_of('good-3')}.jpg"]
    at = content.index(picture) + len(picture) // 2
    tar.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    row = by_name(tmp_path / "decisions")["good-3"]
    assert (row["outcome"], row["reason"]) == ("failed", "damaged")


def test_missing_input_says_what_to_run(tmp_path):
    with pytest.raises(BadInput, match="run `pyramid scrape` first"):
        curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    write_raw(tmp_path / "raw", {"one": jpeg(scene(1))}, num_shards=1)
    (tmp_path / "raw" / "00000.tar").unlink()
    with pytest.raises(BadInput, match=r"00000\.tar is missing"):
        curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
