"""The report of very many rows: small, and made without all of them in memory."""

import dataclasses
import tracemalloc

import pytest
from curation_pictures import CURATE

from pdm.curation.shard.report import selection
from pdm.curation.shard.report.page import Report, write_report
from pdm.data import decisions as tables
from pdm.data.shards.manifest import Manifest, Shard

NUM_ROWS = 30_000
REASONS = ("http_404", "too_small", "blurry", "near_duplicate", "dark", "enlarged")
SIZE = {"width_px": 4000, "height_px": 3000, "content_width_px": 4000, "content_height_px": 3000}


def row(number):
    reason = None if number % 4 == 0 else REASONS[number % len(REASONS)]
    fetched = reason != "http_404"
    return {
        "key": f"{number:020x}",
        "url": f"http://pictures.test/{number}.jpg",
        "source": "urls:list.csv",
        "licence": f"licence {number % 1000}",
        "author": f"author {number}",
        "status": "ok" if fetched else "failed",
        "outcome": "kept" if reason is None else "dropped" if fetched else "failed",
        "reason": reason,
        "detail": None if reason is None else f"Because of {reason}.",
        "duplicate_of": f"{number // 40 * 40:020x}" if reason == "near_duplicate" else None,
        **(SIZE if fetched else {}),
        "target_width_px": 256,
        "target_height_px": 128,
        "crop_width_px": 4000,
        "crop_height_px": 2000,
        "crop_left_px": 0,
        "crop_top_px": 0,
        "sharpness": number / NUM_ROWS if fetched else None,
        "brightness": number % 100 / 100 if fetched else None,
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("many")
    rows = [row(number) for number in range(NUM_ROWS)]
    tables.save(folder, rows)
    splits = {one["key"]: "train" for one in rows if one["outcome"] == "kept"}
    facts = {"width_px": 256, "height_px": 128}
    manifest = Manifest({"train": [Shard("train-000000.tar", len(splits), 10**9, "")]}, facts)
    about = Report(folder, splits, {}, dataclasses.asdict(CURATE), manifest)
    tracemalloc.start()
    write_report(folder / "report.html", about, folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (folder / "report.html").read_text(encoding="utf-8"), peak


def test_it_is_small_and_says_of_how_many_it_shows_a_few(report):
    text, _ = report
    kept = NUM_ROWS // 4
    assert len(text) < 1_000_000  # without pictures
    assert f"<small>{selection.MAX_KEPT} of {kept:,}</small>" in text
    assert f"{selection.MAX_GROUPS} of " in text
    assert "29,975 others" not in text  # authors of all rows; those of kept ones are listed
    assert f"{kept - 25:,} others" in text
    assert f"{NUM_ROWS:,} = {kept:,} crops" in text


def test_it_is_made_in_little_memory(report):
    _, peak = report
    assert peak < 25 * 2**20  # Python and numpy; all rows as dicts are 100 MiB
