"""Boxes, from a folder, a list or a drawn landscape to the shards."""

import csv
import json
import logging

import numpy as np
import pytest
from curation_pictures import CURATE, SHARD, jpeg, scene
from guard_settings import settings

from pdm.config.stages.scrape import BuiltinSource, FolderSource, UrlListSource
from pdm.curation.curate import curate
from pdm.curation.scrape import scrape
from pdm.curation.scrape.drawing.boxes import KINDS
from pdm.curation.scrape.drawing.kinds import SKY
from pdm.curation.scrape.drawing.landscapes import draw, draw_described
from pdm.curation.scrape.drawing.scene import choose
from pdm.curation.scrape.sources import builtin
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.curation.shard import shard
from pdm.data.annotations.boxes import decode_boxes
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards

BOAT = {"class": "boat", "bbox": [100, 80, 60, 50], "area": 3000}  # pixels, as in COCO
EDGE = {"class": "edge", "x": 0.0, "y": 0.0, "width": 0.5, "height": 0.02}  # above every crop
WHOLE = {"class": "scene", "x": 0, "y": 0, "width": 1, "height": 1}
BOXES = {0: [BOAT, EDGE, WHOLE], 1: [BOAT], 2: [BOAT | {"bbox": [300, 0, 60, 50]}], 4: "no list"}


@pytest.fixture(scope="module")
def work(tmp_path_factory, ray_cluster):
    """Shards of nine pictures, and what the stages said: the boxes of number 2 reach out of their
    picture, those of number 4 are none."""
    folder = tmp_path_factory.mktemp("boxes")
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(9):
        (pictures / f"{number}.jpg").write_bytes(jpeg(scene(number)))
        if number in BOXES:
            (pictures / f"{number}.boxes.json").write_text(json.dumps(BOXES[number]))
    logger, lines = logging.getLogger("pdm"), []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    source = FolderSource(kind="folder", path=str(pictures))
    scrape(settings(source, num_shards=1), raw=folder / "raw")
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    names = {name: folder / name for name in ("raw", "decisions", "shards")}
    shard(SHARD, **names, report=folder / "report.html")
    logger.removeHandler(handler)
    logger.setLevel(level)
    return folder, "\n".join(lines)


def records(folder):
    for split in ("train", "val"):
        images = ImageShards(folder / "shards", split)
        for index in range(len(images)):
            record = images.record(index)
            yield int(record["url"].rsplit("/", 1)[1].split(".")[0]), record


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1e999", "NaN", "true", "null", '"1"'])
def test_a_number_that_is_none_is_named_whatever_json_allows(number):
    text = f'[{{"class": "boat", "x": {number}, "y": 0, "width": 1, "height": 1}}]'
    message = r"box 1 \(boat\) has .* it needs the numbers x, y, width and height"
    with pytest.raises(ValueError, match=message):
        decode_boxes(text)


def test_boxes_get_the_crop_of_their_picture(work):
    folder, _ = work
    found = dict(records(folder))
    for number in (0, 1):
        crop, boxes = found[number]["crop"], found[number]["boxes"]
        boat = next(box for box in boxes if box["class"] == "boat")
        left = boat["x"] * crop["width_px"] + crop["left_px"]
        top = boat["y"] * crop["height_px"] + crop["top_px"]
        sides = boat["width"] * crop["width_px"], boat["height"] * crop["height_px"]
        assert (left, top, *sides) == pytest.approx(BOAT["bbox"], abs=0.01)
    whole = next(box for box in found[0]["boxes"] if box["class"] == "scene")
    assert [whole[name] for name in ("x", "y", "width", "height")] == [0, 0, 1, 1]
    assert "edge" not in {box["class"] for box in found[0]["boxes"]}
    assert "boxes" not in found[3]
    assert "boxes" not in found[4]
    fact = manifest.load(folder / "shards").facts["boxes"]
    assert fact["classes"] == ["boat", "scene"]
    assert fact["crop"][2] - fact["crop"][0] == pytest.approx(1, abs=0.2)


def test_what_cannot_be_used_or_seen_is_named_and_counted(work):
    folder, log = work
    assert "3 of 9 files with boxes" in log
    assert "1 file with unusable boxes" in log
    assert "4.boxes.json: it is not a list of boxes" in log
    assert "its boxes cannot be used: box 1 (boat) reaches from 0.9375, 0 to 1.125" in log
    assert 2 not in dict(records(folder))
    assert "3 boxes on 2 images (boat 2, scene 1); 1 left out" in log
    card = (folder / "shards" / "README.md").read_text(encoding="utf-8")
    assert "2 images have boxes, 3 in all, at most 2 on\none. 1 more were left out" in card
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="boxes">Boxes <small>3 on 2 kept images' in report


def test_a_list_has_a_column_of_boxes(tmp_path, caplog):
    path = tmp_path / "list.csv"
    cells = [json.dumps([BOAT]), "", "[1]"]
    with path.open("w", newline="") as file:
        rows = [(f"http://a.example/{n}.jpg", cell) for n, cell in enumerate(cells)]
        csv.writer(file).writerows([["url", "objects"], *rows])
    source = UrlListSource(kind="urls", path=str(path), boxes_column="objects")
    with caplog.at_level(logging.INFO):
        found = entries_of_list(source)
    without_area = {name: BOAT[name] for name in ("class", "bbox")}
    assert [entry.boxes for entry in found] == [json.dumps([without_area]), None, None]
    assert "1 of 3 rows with boxes" in caplog.text
    assert "http://a.example/2.jpg: box 1 is 1, not an object" in caplog.text
    with pytest.raises(ValueError, match=r"boxes_column: expected null with a \.txt list"):
        UrlListSource(kind="urls", path="list.txt", boxes_column="boxes")


def test_built_in_landscapes_come_with_their_boxes(tmp_path):
    source = BuiltinSource(
        kind="builtin",
        num_landscapes=1,
        num_flawed_per_kind=0,
        width_px=64,
        height_px=32,
        seed=3,
        boxes=True,
    )
    name = "landscape-00000.jpg"
    with builtin.drawing_processes(1) as processes:
        drawings = builtin.draw_all(source, tmp_path, processes)
        with builtin.serve_pictures(source, tmp_path, drawings, timeout_seconds=1) as entries:
            drawn = [builtin.with_boxes(entry) for entry in entries]
    found = {entry.url.rsplit("/", 1)[1]: entry for entry in drawn}
    expected = draw_described(3, 0, 64, 32)
    assert json.loads(found[name].boxes) == [box.as_record() for box in expected.boxes]
    assert found[name].class_map is None
    assert found[builtin.MISSING].boxes is None


def test_boxes_of_landscapes_enclose_what_is_drawn_and_change_nothing():
    names, height, width = set(), 144, 256
    for index in (3, 6, 9):
        landscape = draw_described(3, index, width, height)
        for box in landscape.boxes:
            names.add(box.class_name)
            left, top = round(box.x * width), round(box.y * height)
            right, bottom = round((box.x + box.width) * width), round((box.y + box.height) * height)
            part = landscape.kinds[top:bottom, left:right]
            if box.class_name in KINDS:
                inside = part == KINDS[box.class_name]
                assert all(inside[rows].any() for rows in (0, -1))
                assert all(inside[:, columns].any() for columns in (0, -1))
            elif box.class_name in ("sun", "moon"):
                assert landscape.kinds[(top + bottom) // 2, (left + right) // 2] == SKY
                night = choose(3, index).hour.name == "night"
                assert (box.class_name == "moon") == night
        if index == 6:
            assert np.array_equal(landscape.picture, draw(3, index, width, height))
    assert names == {"sun", "hill", "water", "forest", "snow"}
