"""Runs of curate and shard that follow each other end with the bytes of a run from nothing."""

import logging
import re
import shutil

import grimp
import pytest
from curation_pictures import CURATE, SHARD, but, jpeg, key_of, scene, write_raw

from pdm.curation.curate import curate
from pdm.curation.shard import shard
from pdm.curation.shard.crops import CUTTING, CropCache
from pdm.data import decisions as tables
from pdm.data.shards.tars import members
from pdm.files import sha256_of

NUM_OLD, NUM_NEW = 8, 10
OLD = {f"old-{number}": jpeg(scene(number)) for number in range(NUM_OLD)}
NEW = {f"new-{number}": jpeg(scene(20 + number)) for number in range(NUM_NEW)}


class Pipeline:
    """The two stages over whatever was fetched, with caches of their own."""

    def __init__(self, folder, caplog):
        self.folder, self.caplog = folder, caplog
        self.raw, self.shards = folder / "raw", folder / "shards"
        caplog.set_level(logging.INFO)

    def run(self, files, config=SHARD, limits=CURATE):
        """Digests of all that the stages write."""
        self.caplog.clear()
        shutil.rmtree(self.raw, ignore_errors=True)
        write_raw(self.raw, files)
        paths = {"raw": self.raw, "decisions": self.folder / "decisions"}
        curate(limits, **paths, cache=self.folder / "scores")
        report = self.folder / "report.html"
        shard(config, **paths, shards=self.shards, report=report, cache=self.folder / "crops")
        written = [*self.shards.iterdir(), *paths["decisions"].iterdir(), report]
        return {path.name: sha256_of(path) for path in written}

    def crops(self):
        """How many crops were new, and how many unchanged."""
        found = re.search(r"crops \((\d+) new, (\d+) unchanged\)", self.caplog.text)
        return tuple(map(int, found.groups()))


@pytest.fixture
def pipeline(tmp_path, caplog, ray_cluster):
    return Pipeline(tmp_path / "increments", caplog)


@pytest.fixture
def from_nothing(tmp_path, caplog, ray_cluster):
    """A run without any past."""
    return Pipeline(tmp_path / "from-nothing", caplog).run


def test_ten_new_pictures_cost_ten_and_withdrawn_ones_leave_nothing(pipeline, from_nothing):
    pipeline.run(OLD)
    assert pipeline.crops() == (NUM_OLD, 0)

    pipeline.run(OLD | NEW)
    assert f"judged {NUM_NEW} new, {NUM_OLD} unchanged" in pipeline.caplog.text
    assert pipeline.crops() == (NUM_NEW, NUM_OLD)

    left = {name: content for name, content in (OLD | NEW).items() if name[-1] not in "02"}
    result = pipeline.run(left)
    assert pipeline.crops() == (0, len(left))
    gone = {key_of(name) for name in (OLD | NEW).keys() - left.keys()}
    assert not gone & {row["key"] for row in tables.load(pipeline.folder / "decisions")}
    assert len(list((pipeline.folder / "crops").glob("*/*"))) == len(left)
    assert result == from_nothing(left)


def test_a_near_duplicate_that_arrives_later_stays_with_its_like(pipeline, from_nothing):
    """Larger, it takes the place of the picture that was there; neither is then in both splits."""
    limits = but(CURATE, max_megapixels=4.0)
    fraction = but(SHARD, val_share=0.5)
    pipeline.run(OLD, fraction, limits)
    before = splits(pipeline.shards)
    larger = {
        f"large-{name}": jpeg(scene(number).resize((640, 400), 3), quality=95)
        for number, name in enumerate(OLD)
    }
    lenient = but(limits, min_high_frequency=0.0, min_sharpness=0.0, min_detail_share=0.0)
    result = pipeline.run(OLD | larger, fraction, lenient)
    after = splits(pipeline.shards)
    assert {key_of(name) for name in larger} <= after.keys()
    for name in OLD:
        now = {after[key] for key in (key_of(name), key_of(f"large-{name}")) if key in after}
        assert len(now) == 1
        assert before[key_of(name)] == "val" or now == {"train"}
    assert result == from_nothing(OLD | larger, fraction, lenient)


def splits(shards):
    return {
        member.name.partition(".")[0]: tar.name.partition("-")[0]
        for tar in shards.glob("*.tar")
        for member in members(tar)
    }


def test_another_encoding_or_size_is_cut_again_and_old_crops_are_removed(pipeline, from_nothing):
    pipeline.run(OLD)
    better = but(SHARD, jpeg_quality=97)
    result = pipeline.run(OLD, better)
    assert pipeline.crops() == (NUM_OLD, 0)
    assert result == from_nothing(OLD, better)
    assert len(list((pipeline.folder / "crops").glob("*/*"))) == NUM_OLD


def test_a_damaged_crop_is_noticed_and_cut_again(pipeline):
    expected = pipeline.run(OLD)
    first, second, *_ = sorted((pipeline.folder / "crops").glob("*/*"))
    content = first.read_bytes()
    first.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    second.write_bytes(b"")
    assert pipeline.run(OLD) == expected
    assert pipeline.crops() == (2, NUM_OLD - 2)


def test_all_code_that_cuts_names_the_version_of_the_crops():
    writer = "pdm.curation.shard.write"
    upstream = grimp.build_graph("pdm", cache_dir=None).find_upstream_modules(writer)
    beside = ("pdm.config", "pdm.errors", "pdm.files", "pdm.data.decisions", "pdm.data.shards.tars")
    beside += ("pdm.curation.shard.crops", "pdm.data.code", "pdm.data.parquet")
    beside += ("pdm.data.shards.manifest", "pdm.disk_full")
    cuts = {name for name in upstream if not name.startswith(beside)}
    assert cuts | {writer} == set(CUTTING)


def test_a_crop_depends_only_on_its_box_and_its_source(tmp_path):
    cache = CropCache(tmp_path, SHARD)
    row = dict.fromkeys(tables.SCHEMA.names, 1) | {"sha256": "a", "background": "#ffffff"}
    cache.store(row, b"picture")
    assert cache.look_up(row | {"key": "other", "caption": "new"}) == b"picture"
    for change in ({"sha256": "b"}, {"crop_top_px": 2}, {"background": "#000000"}):
        assert cache.look_up(row | change) is None
    other = row | {"crop_left_px": 5}
    assert cache.prune([other]) == [other]
    assert cache.look_up(row) is None
