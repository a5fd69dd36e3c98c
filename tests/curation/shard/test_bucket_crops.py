"""Crops of many aspect ratios: which bucket a picture gets, shards of one size each, and the table
of all images in them."""

import io
import json
import math
import random
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from curation_pictures import CURATE, SHARD, but, jpeg, scene, write_raw
from PIL import Image

from pdm.curation.curate import curate
from pdm.curation.curate.framing.crop import nearest_size
from pdm.curation.curate.framing.frame import frame
from pdm.curation.curate.judge import judge
from pdm.curation.curate.rules import too_small
from pdm.curation.shard import shard
from pdm.curation.shard.image_table import write_image_table
from pdm.curation.shard.split import assign_splits
from pdm.data import decisions as tables
from pdm.data.shards import manifest, tars
from pdm.data.shards.buckets import buckets_of
from pdm.data.verification.verify import verify
from pdm.errors import QualityGate

BUCKETS = ((256, 128), (160, 192), (128, 256))
MANY = but(CURATE, buckets=BUCKETS)
# Pictures of these sizes, and the nearest bucket of each.
SIZES = [
    *[((320, 200), (256, 128))] * 4,
    *[((200, 210), (160, 192))] * 4,
    *[((180, 340), (128, 256))] * 4,
]


@pytest.fixture(scope="module")
def work(tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("buckets")
    pictures = {
        f"scene-{number}": jpeg(scene(number, *size)) for number, (size, _) in enumerate(SIZES)
    }
    pictures["small"] = jpeg(scene(90, 120, 250))  # narrower than its bucket
    write_raw(folder / "raw", pictures)
    curate(MANY, raw=folder / "raw", decisions=folder / "decisions")
    shard(
        but(SHARD, encoding="png"),
        raw=folder / "raw",
        decisions=folder / "decisions",
        shards=folder / "shards",
        report=folder / "report.html",
        table=folder / "images.parquet",
    )
    return folder


def test_a_picture_takes_the_bucket_with_the_smallest_log_ratio():
    chance = random.Random(0)
    sizes = [(chance.randint(4, 32) * 64, chance.randint(4, 32) * 64) for _ in range(9)]
    for _ in range(500):
        width, height = chance.randint(1, 9000), chance.randint(1, 9000)
        distances = [abs(math.log(width / height) - math.log(w / h)) for w, h in sizes]
        chosen = sizes.index(nearest_size(sizes, width, height))
        assert distances[chosen] == pytest.approx(min(distances), abs=1e-12)


def test_of_two_buckets_that_are_equally_near_the_first_is_taken():
    assert nearest_size([(200, 100), (100, 200)], 300, 300) == (200, 100)
    assert nearest_size([(100, 200), (200, 100)], 300, 300) == (100, 200)


def test_borders_do_not_count_for_the_shape():
    picture = Image.new("RGB", (340, 340))  # a wide picture between two black bars
    picture.paste(scene(0, 340, 170), (0, 85))
    found = frame(np.asarray(picture), picture.size, MANY)
    assert found.finished == (256, 128)
    assert found.crop is not None
    assert found.crop.height_px <= 170


def test_a_picture_that_is_all_border_is_dropped_as_with_one_size():
    halves = np.full((512, 512, 3), 20, np.uint8)  # two plain halves, with a soft line between them
    halves[:, 255:] = 90
    halves[:, 256:] = 160
    halves[:, 257:] = 230
    file = io.BytesIO()
    Image.fromarray(halves).save(file, "PNG")
    alone, among_many = judge(file.getvalue(), CURATE), judge(file.getvalue(), MANY)
    assert alone["content_width_px"] == 0
    assert (among_many["outcome"], among_many["reason"]) == ("dropped", alone["reason"])


def test_one_bucket_gives_the_framing_of_a_single_size():
    pixels = np.asarray(scene(3, 320, 200))
    one = but(CURATE, buckets=((256, 128),))
    assert frame(pixels, (320, 200), one) == frame(pixels, (320, 200), CURATE)


def test_each_picture_is_cut_to_its_bucket_and_is_not_squeezed(work):
    kept = [row for row in tables.load(work / "decisions") if row["outcome"] == "kept"]
    assert kept
    for row in kept:
        size = row["width_px"], row["height_px"]
        assert (row["target_width_px"], row["target_height_px"]) == dict(SIZES)[size]
        ratio = row["crop_width_px"] / row["crop_height_px"]
        wanted = row["target_width_px"] / row["target_height_px"]
        assert ratio == pytest.approx(wanted, abs=1.5 / row["crop_height_px"] * (1 + wanted))


def test_a_picture_smaller_than_its_bucket_is_dropped_and_the_bucket_is_named(work):
    dropped = [row for row in tables.load(work / "decisions") if row["reason"] == "too_small"]
    assert len(dropped) == 1
    assert "a crop of 128 x 256 would need enlarging" in dropped[0]["detail"]


def test_the_rule_judges_stored_rows_by_their_own_bucket():
    row = {"width_px": 170, "height_px": 200, "border_share": 0.0, "content_width_px": None}
    assert too_small(row, MANY) is None
    assert too_small(row, CURATE) is not None


def test_shards_hold_one_size_each_and_the_manifest_counts_them(work):
    listed = manifest.load(work / "shards")
    for bucket in buckets_of(listed):
        files = [bucket.select(shards) for shards in listed.splits.values()]
        names = [one.name for shards in files for one in shards]
        assert names
        assert all(f"-{bucket.name}-" in name for name in names)
        assert sum(bucket.num_samples.values()) == 4
    counted = sum(sum(bucket.num_samples.values()) for bucket in buckets_of(listed))
    assert counted == sum(map(listed.num_samples, listed.splits))


def test_a_main_size_without_a_held_out_picture_is_an_error_before_any_training(work, tmp_path):
    few = but(SHARD, val_share=1e-6)  # two pictures are held out, so one of three buckets has none
    rows = tables.load(work / "decisions")
    splits = assign_splits(rows, few.val_share)
    sizes = {row["key"]: (row["target_width_px"], row["target_height_px"]) for row in rows}
    main = next(
        each
        for each in BUCKETS
        if each not in {sizes[key] for key in splits if splits[key] == "val"}
    )
    shutil.copytree(work / "decisions", tmp_path / "decisions")
    summary = json.loads((tmp_path / "decisions" / "summary.json").read_text())
    summary["limits"] |= {"width_px": main[0], "height_px": main[1]}
    (tmp_path / "decisions" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(QualityGate, match=f"'val' has no image of the main size, {main[0]}x"):
        shard(
            few,
            raw=work / "raw",
            decisions=tmp_path / "decisions",
            shards=tmp_path / "shards",
            report=tmp_path / "report.html",
        )
    assert not (tmp_path / "shards").exists()


def test_verification_finds_no_fault_in_buckets(work):
    splits = json.loads((work / "shards" / "manifest.json").read_text())["splits"]
    count = sum(shard["num_samples"] for shards in splits.values() for shard in shards)
    assert verify([work / "shards"]).startswith(f"verified {count} images in ")


def test_verification_finds_a_picture_of_another_bucket(work, tmp_path, caplog):
    folder = tmp_path / "shards"
    shutil.copytree(work / "shards", folder)
    record = json.loads((folder / "manifest.json").read_text())
    first, second = record["facts"]["buckets"][:2]
    first["shards"], second["shards"] = second["shards"], first["shards"]
    (folder / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(QualityGate):
        verify([folder])
    assert "is 256 x 128 pixels, the manifest says 160 x 192" in caplog.text


def test_card_and_report_count_pictures_by_bucket(work):
    card = (work / "shards" / "README.md").read_text()
    report = (work / "report.html").read_text()
    for width, height in BUCKETS:
        assert f"| {width} x {height} | {width / height:.3g} |" in card
        assert f"<td>{width} × {height}</td>" in report
    croissant = json.loads((work / "shards" / "croissant.json").read_text())
    assert "256x128, 160x192, 128x256" in croissant["description"]


def table_of(work):
    return pq.read_table(work / "images.parquet").to_pylist()


def records(work):
    """{key: (name of the tar, content of `key.json`)}"""
    return {
        name.partition(".")[0]: (tar.name, json.loads(content))
        for tar in (work / "shards").glob("*.tar")
        for name, content in tars.read_members(tar).items()
        if name.endswith(".json")
    }


def test_the_table_has_a_row_for_each_image_in_the_shards_in_key_order(work):
    assert [row["key"] for row in table_of(work)] == sorted(records(work))
    assert len(table_of(work)) == len(SIZES)


def test_a_row_of_the_table_says_what_the_record_in_the_shard_says(work):
    found = records(work)
    for row in table_of(work):
        shard_name, record = found[row["key"]]
        crop = {f"crop_{name}": value for name, value in record.pop("crop").items()}
        del record["image_sha256"]
        assert row["shard"] == shard_name
        assert {name: row[name] for name in record} == record
        assert {name: row[name] for name in crop} == crop


def test_a_row_of_the_table_has_the_scores_of_its_decision(work):
    decided = {row["key"]: row for row in tables.load(work / "decisions")}
    for row in table_of(work):
        assert row["sharpness"] == decided[row["key"]]["sharpness"] > 0
        assert row["blocking"] == decided[row["key"]]["blocking"]


@pytest.mark.parametrize(
    ("caption", "captions", "expected"),
    [(None, None, []), ("a boat", None, ["a boat"]), ("a boat", ["a boat", "a ship"], None)],
)
def test_the_table_lists_all_captions_of_an_image(work, tmp_path, caption, captions, expected):
    row = tables.load(work / "decisions")[0] | {"caption": caption, "captions": captions}
    path = tmp_path / "images.parquet"
    write_image_table(path, [row], {row["key"]: "val"}, {row["key"]: "val-000000.tar"})
    assert pq.read_table(path)["captions"].to_pylist() == [expected or captions or []]


def test_the_table_of_equal_rows_has_equal_bytes(work, tmp_path):
    rows = [row for row in tables.load(work / "decisions") if row["outcome"] == "kept"]
    names = {row["key"]: "train-000000.tar" for row in rows}
    for name in ("one", "other"):
        write_image_table(tmp_path / name, rows, dict.fromkeys(names, "train"), names)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
