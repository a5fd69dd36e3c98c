"""The stage, from decisions to shards that others can open."""

import io
import json
import os
import subprocess

import numpy as np
import pytest
import ray
import webdataset
from curation_pictures import CURATE, SHARD, but, jpeg, key_of, scene, write_raw
from PIL import Image
from shared.folders import file_digests

from pdm.curation.curate import curate
from pdm.curation.shard import shard
from pdm.curation.shard.stage import warn_if_few
from pdm.curation.shard.write import BYTES_PER_PIXEL
from pdm.data import decisions as tables
from pdm.data.shards import manifest, tars
from pdm.errors import BadInput, QualityGate, Unavailable

NUM_IMAGES = 10


@pytest.fixture(scope="module")
def work(tmp_path_factory, ray_cluster):
    """Raw pictures, decisions, shards and report. One picture has exactly the finished size."""
    folder = tmp_path_factory.mktemp("shard")
    pictures = {f"scene-{number}": jpeg(scene(number)) for number in range(NUM_IMAGES - 1)}
    pictures["exact"] = png(scene(50, 256, 128))
    write_raw(folder / "raw", pictures)
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    run(folder, folder / "out", SHARD)
    return folder


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def run(work, out, config, decisions=None):
    shard(
        config,
        raw=work / "raw",
        decisions=decisions or work / "decisions",
        shards=out / "shards",
        report=out / "report.html",
    )
    return out / "shards"


def samples(shards):
    """{key: (pixels, facts, split)} as plain WebDataset reads them."""
    found = {}
    for tar in sorted(shards.glob("*.tar")):
        for sample in webdataset.WebDataset(str(tar), shardshuffle=False).decode("rgb8"):
            image = next(sample[name] for name in ("jpg", "png", "webp") if name in sample)
            found[sample["__key__"]] = image, sample["json"], tar.name.split("-")[0]
    return found


def test_the_manifest_and_the_card_name_the_classes(work):
    assert manifest.load(work / "out" / "shards").facts["classes"] == ["scenes"]
    card = (work / "out" / "shards" / "README.md").read_text()
    assert f"| scenes | {NUM_IMAGES - 1} |\n| none | 1 |" in card


def test_plain_webdataset_reads_exact_crops_with_their_provenance(work):
    found = samples(work / "out" / "shards")
    assert len(found) == NUM_IMAGES
    for key, (pixels, facts, split) in found.items():
        assert pixels.shape == (128, 256, 3)
        assert facts["key"] == key
        assert facts["split"] == split
        assert facts["licence"] == "CC0-1.0"
        assert facts["author"] == "A. Painter"
        is_scene = not facts["url"].endswith("/exact")
        assert facts.get("class_name", "none") == ("scenes" if is_scene else "none")
        assert facts["url"].startswith("http://pictures.test/")
        assert facts["final_url"].startswith("http://store.test/")
        assert facts["retrieved_at"] == "2026-11-21T10:00:00Z"
        assert facts["num_bytes"] > 0
        assert len(facts["sha256"]) == 64
        assert facts["original_width_px"] >= facts["crop"]["width_px"] >= 256


def test_the_crop_is_the_box_reduced_by_lanczos(work):
    out = samples(run(work, work / "png", but(SHARD, encoding="png")))
    pixels, facts, _ = out[key_of("scene-3")]
    crop = facts["crop"]
    box = (crop["left_px"], crop["top_px"])
    box += (box[0] + crop["width_px"], box[1] + crop["height_px"])
    source = Image.open(io.BytesIO(jpeg(scene(3))))
    expected = source.crop(box).resize((256, 128), Image.Resampling.LANCZOS)
    assert np.abs(pixels.astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_a_picture_of_the_finished_size_is_copied(work, encoding):
    out = samples(run(work, work / f"exact-{encoding}", but(SHARD, encoding=encoding)))
    assert np.array_equal(out[key_of("exact")][0], np.asarray(scene(50, 256, 128)))


def test_jpeg_keeps_full_colour_resolution(work):
    tar = next((work / "out" / "shards").glob("*.tar"))
    content = next(c for name, c in tars.read_members(tar).items() if name.endswith(".jpg"))
    image = Image.open(io.BytesIO(content))
    assert {layer[1:3] for layer in image.layer} == {(1, 1)}  # sampling factors


def test_a_second_run_gives_the_same_bytes(work, tmp_path):
    again = run(work, tmp_path, SHARD)
    assert file_digests(again) == file_digests(work / "out" / "shards")
    report = (work / "out" / "report.html").read_bytes()
    assert (tmp_path / "report.html").read_bytes() == report


@ray.remote(num_cpus=1)
class Occupied:
    """Keeps one core from everybody else."""

    def ready(self):
        return True


def test_one_core_gives_the_same_bytes_as_two(work, tmp_path):
    assert ray.cluster_resources()["CPU"] == 2
    other = Occupied.remote()
    assert ray.get(other.ready.remote())
    again = run(work, tmp_path, SHARD)
    ray.kill(other)
    assert file_digests(again) == file_digests(work / "out" / "shards")


def test_the_manifest_describes_every_shard(work):
    shards = work / "out" / "shards"
    found = manifest.load(shards)
    assert found.facts["width_px"] == 256
    assert found.facts["height_px"] == 128
    assert found.facts["encoding"] == "jpeg"
    assert found.num_samples("train") + found.num_samples("val") == NUM_IMAGES
    named = {one.name for split in found.splits.values() for one in split}
    assert named == {path.name for path in shards.glob("*.tar")}


def test_the_card_counts_and_shows_how_to_load(work):
    card = (work / "out" / "shards" / "README.md").read_text()
    assert card.startswith("---\npretty_name: Images of 256 x 128 pixels\n")
    assert "| CC0-1.0 | 10 |" in card
    assert 'sample["jpg"]' in card


def changed_decisions(work, folder, change):
    rows = tables.load(work / "decisions")
    change([row for row in rows if row["outcome"] == "kept"])
    folder.mkdir()
    tables.save(folder, rows)
    (folder / "summary.json").write_bytes((work / "decisions" / "summary.json").read_bytes())
    return folder


def test_an_image_that_cannot_be_decoded_any_more_is_counted_not_fatal(work, tmp_path, caplog):
    def shorten(kept):
        kept[0]["size"] //= 2

    folder = changed_decisions(work, tmp_path / "decisions", shorten)
    shards = run(work, tmp_path / "out", SHARD, decisions=folder)
    assert len(samples(shards)) == NUM_IMAGES - 1
    assert "left out" in caplog.text
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Not written: " in report
    assert "− 1 not written" in report


@pytest.mark.parametrize(("num_training", "is_warned"), [(7, True), (79, True), (80, False)])
def test_so_few_pictures_that_they_are_learned_by_heart_are_named(caplog, num_training, is_warned):
    warn_if_few(num_training)
    assert (f"{num_training} training images are few" in caplog.text) is is_warned


def test_a_split_without_images_publishes_nothing(work, tmp_path):
    def keep_one(kept):
        for row in kept[1:]:
            row |= {"outcome": "dropped", "reason": "blurry", "detail": "."}

    folder = changed_decisions(work, tmp_path / "decisions", keep_one)
    with pytest.raises(QualityGate, match="has no image"):
        run(work, tmp_path / "out", SHARD, decisions=folder)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB, less than the shards need."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_without_room_is_refused_before_anything_is_written(work, small_disk):
    with pytest.raises(
        Unavailable, match=rf"need .* have 0\.06 MiB at {small_disk}.*nothing was started"
    ):
        run(work, small_disk, but(SHARD, encoding="png"))
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_on_a_worker_is_reported_as_full_and_left_clean(
    work, small_disk, monkeypatch
):
    monkeypatch.setitem(BYTES_PER_PIXEL, "png", 0.0)  # an estimate may be wrong
    with pytest.raises(Unavailable, match=r"filled up: need .*, have 0\.00 MiB at .*/shards\."):
        run(work, small_disk, but(SHARD, encoding="png"))
    assert [path.name for path in small_disk.iterdir()] == []


def test_missing_decisions_say_what_to_run(tmp_path):
    with pytest.raises(BadInput, match="run `pyramid curate` first"):
        run(tmp_path, tmp_path, SHARD)


def test_provenance_is_plain_json(work):
    sources = {
        json.loads(content)["source"]
        for tar in (work / "out" / "shards").glob("*.tar")
        for name, content in tars.read_members(tar).items()
        if name.endswith(".json")
    }
    assert sources == {"urls:list.csv"}


def test_the_stage_holds_out_whole_folders_if_asked_to(tmp_path, ray_cluster):
    folder_of = {
        f"film-{number % 3}/scene-{number}": number % 3 for number in range(NUM_IMAGES - 1)
    }
    write_raw(tmp_path / "raw", {name: jpeg(scene(int(name[-1]))) for name in folder_of})
    curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    splits_of = {}
    for hold_out in ("image", "folder"):
        found = samples(run(tmp_path, tmp_path / hold_out, but(SHARD, hold_out=hold_out)))
        splits_of[hold_out] = [
            {found[key_of(name)][2] for name, of in folder_of.items() if of == number}
            for number in range(3)
        ]
    assert [len(splits) for splits in splits_of["folder"]] == [1, 1, 1]
    assert max(len(splits) for splits in splits_of["image"]) == 2
