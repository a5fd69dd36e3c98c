"""The boxes of a whole folder in one file, as COCO has them, from the file to the shards."""

import json
import logging
import re
from functools import cache
from pathlib import Path

import pytest
from curation_pictures import CURATE, SHARD, jpeg, scene
from guard_settings import settings

from pdm.config.stages.scrape import FolderSource
from pdm.curation.curate import curate
from pdm.curation.scrape import scrape
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.curation.shard import shard
from pdm.data.annotations.boxes import decode_boxes
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput

OUTLINE = {"segmentation": [[1.0, 2.0] * 20], "area": 7.5, "id": 1}


def image(key: int, name: str, width: int = 320, height: int = 200) -> dict:
    return {"id": key, "file_name": name, "width": width, "height": height, "license": 1}


def box(image_id: object, bbox: object, category_id: object = 3, **more) -> dict:
    return OUTLINE | {"image_id": image_id, "category_id": category_id, "bbox": bbox} | more


IMAGES = [
    image(0, "0.jpg"),
    image(1, "./sea/1.jpg"),
    image(2, "2.jpg", 640, 400),  # of which the file is a copy of half the size
    image(3, "3.jpg", 200, 320),  # lies on its side
    image(4, "4.jpg"),
    image(9, "gone.jpg"),
]
BOXES = [
    box(0, [100, 80, 60, 50]),
    box(0, [64.0, 50.0, 160.25, 100.0], category_id=7),
    box(1, [100, 80, 60, 50]),
    box(2, [200, 160, 120, 100]),
    box(3, [50, 80, 60, 50]),
    box(9, [1, 1, 5, 5]),
    box(77, [1, 1, 5, 5]),
    box(None, [1, 1, 5, 5]),
    box(4, [0, 0, 50, 50]),  # it has a file of its own
    box(0, [10, 10, 100, 100], iscrowd=1),
    box(0, [10, 10, 0, 100]),
    box(0, [300, 10, 60, 50]),
    box(0, [10, 10, 20, 20], category_id=8),
    box(0, [10, 10, 20]),
    {"image_id": 0, "category_id": 3},
]
LEFT_OUT = {
    "of no image of the folder": 3,
    "of an image with a file of its own": 1,
    "around a crowd": 1,
    "empty": 1,
    "reaching out of the image": 1,
    "of an unknown category": 1,
    "without four numbers": 2,
}
CATEGORIES = [{"id": 3, "name": "boat"}, {"id": 7, "name": " big\nship ", "supercategory": "x"}]
CONTENT = {"info": {}, "images": IMAGES, "annotations": BOXES, "categories": CATEGORIES}


@cache
def picture(number: int) -> bytes:
    return jpeg(scene(number))


def write(folder: Path, content: object = CONTENT) -> FolderSource:
    """Pictures, and a file of boxes that lies among them."""
    pictures = folder / "pictures"
    (pictures / "sea").mkdir(parents=True)
    for number in range(9):
        name = f"{'sea/' if number == 1 else ''}{number}.jpg"
        (pictures / name).write_bytes(picture(number))
    own = [{"class": "sun", "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}]
    (pictures / "4.boxes.json").write_text(json.dumps(own))
    path = pictures / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return FolderSource(kind="folder", path=str(pictures), boxes=str(path))


def test_pictures_get_their_boxes_and_what_is_left_out_is_counted_and_told(tmp_path, caplog):
    source = write(tmp_path)
    with caplog.at_level(logging.INFO):
        entries = entries_of_folder(source)
    found = {entry.url.removeprefix("pictures/"): entry.boxes for entry in entries}
    assert len(found) == 9  # neither the file of boxes nor that of number 4
    assert {name for name, boxes in found.items() if boxes} == {
        *("0.jpg", "2.jpg", "3.jpg", "4.jpg", "sea/1.jpg")
    }
    first, second = decode_boxes(found["0.jpg"], (320, 200))
    assert (first.class_name, second.class_name) == ("boat", "big ship")
    assert (first.x, first.y, first.width, first.height) == (0.3125, 0.4, 0.1875, 0.25)
    [own] = decode_boxes(found["4.jpg"])
    assert own.class_name == "sun"
    log = caplog.text
    assert re.search(r"4 of 9 files with boxes in .*instances\.json, 5 in all", log)
    assert "1 of its images are not in" in log
    assert "the first is 'gone.jpg'" in log
    assert (
        f"{sum(LEFT_OUT.values())} boxes were left out: 3 of no image of the folder, 2 without"
        in log
    )
    for reason, count in LEFT_OUT.items():
        assert f"{count} {reason}" in log


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "it is a list, not an object"),
        ({"images": [], "annotations": {}}, "it has no list of annotations, categories"),
        (CONTENT | {"images": [7]}, "image 1 has no id and file_name"),
        (
            CONTENT | {"images": [image(1, "0.jpg", 0)]},
            r"\(0\.jpg\) has the width and height \[0, ",
        ),
        (
            CONTENT | {"images": [image(1, "0.jpg"), image(1, "2.jpg")]},
            "the id of an earlier one, 1",
        ),
        (CONTENT | {"categories": [{"id": 3, "name": " "}]}, "category 1 has no id and name"),
        (CONTENT | {"categories": CATEGORIES[:1] * 2}, r"category 2 \(boat\) has the id of an ear"),
    ],
)
def test_a_file_that_is_not_cocos_is_refused_with_what_is_wrong(content, message, tmp_path):
    with pytest.raises(
        BadInput, match=rf"instances\.json is not a file of boxes in COCO.*{message}"
    ):
        entries_of_folder(write(tmp_path, content))


def test_a_file_of_another_folder_and_one_that_is_not_there_are_refused(tmp_path):
    source = write(tmp_path, CONTENT | {"images": [image(1, "train/0.jpg"), image(2, "/2.jpg")]})
    with pytest.raises(BadInput, match=r"none of its 2 images is in .*first is 'train/0\.jpg'"):
        entries_of_folder(source)
    (tmp_path / "pictures" / "instances.json").unlink()
    with pytest.raises(BadInput, match=r"instances\.json cannot be read \(No such file"):
        entries_of_folder(source)


def test_boxes_of_the_file_reach_the_shards_the_report_and_the_card(tmp_path, ray_cluster, caplog):
    source = write(tmp_path)
    with caplog.at_level(logging.INFO):
        scrape(settings(source, num_shards=1), raw=tmp_path / "raw")
        curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
        names = {name: tmp_path / name for name in ("raw", "decisions", "shards")}
        shard(SHARD, **names, report=tmp_path / "report.html")
    summary = json.loads((tmp_path / "raw" / "summary.json").read_text())
    assert summary["boxes_left_out"] == LEFT_OUT
    found = {}
    for split in ("train", "val"):
        images = ImageShards(tmp_path / "shards", split)
        for index in range(len(images)):
            record = images.record(index)
            found[record["url"].removeprefix("pictures/")] = record
    # Numbers 1 and 2 have the same box, in pixels of the file and of twice its size.
    for name in ("sea/1.jpg", "2.jpg"):
        [boat], crop = found[name]["boxes"], found[name]["crop"]
        left = boat["x"] * crop["width_px"] + crop["left_px"]
        top = boat["y"] * crop["height_px"] + crop["top_px"]
        sides = boat["width"] * crop["width_px"], boat["height"] * crop["height_px"]
        assert (left, top, *sides) == pytest.approx((100, 80, 60, 50), abs=0.01)
    assert "3.jpg" not in found
    assert (
        "box 1 (boat) is of an image of 200x320, but this one, upright, is 320x200" in caplog.text
    )
    told = "10 boxes were left out: 3 of no image of the folder, 2 without four numbers"
    assert f"When the sources were read, {told}" in (tmp_path / "report.html").read_text("utf-8")
    assert f"When the sources were read, {told}" in (tmp_path / "shards/README.md").read_text(
        "utf-8"
    )
