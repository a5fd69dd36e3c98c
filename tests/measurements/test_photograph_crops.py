"""Crops of photographs, the source of `make showcase-photographs`."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import photograph_crops
from benchmarks.photograph_crops import crop_boxes, pictures_of_folder, write_crops
from pdm.errors import BadInput

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.effect_noise((1400, 900), 80).save(folder / "large.jpg")
    Image.effect_noise((256, 300), 80).save(folder / "small.png")
    Image.effect_noise((250, 900), 80).save(folder / "too narrow.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "copy of large.jpg").write_bytes((folder / "large.jpg").read_bytes())
    (folder / "README.md").write_text("not a picture")
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_each_readable_picture_gives_crops_in_a_folder_of_its_own(pictures, tmp_path, caplog):
    caplog.set_level("INFO")
    output = tmp_path / "crops"
    write_crops(pictures_of_folder(pictures), output)
    folders = sorted((output / "mine").iterdir())
    names = [folder.name.rpartition("-")[0] for folder in folders]
    assert len(names) == 2
    assert names[0] in ("copy of large", "large")
    assert names[1] == "small"
    for folder in folders:
        paths = sorted(folder.iterdir())
        assert [path.name for path in paths] == [f"{number}.jpg" for number in range(8)]
        for path in paths:
            with Image.open(path) as crop:
                assert 256 <= crop.width <= 512
                assert crop.width // 2 == crop.height
    left_out = [text for text in caplog.messages if text.startswith("left out")]
    assert ["broken.jpg" in left_out[0], "250x900 pixels are too few" in left_out[1]] == [True] * 2
    assert caplog.messages[-1] == f"{output}: 16 crops of 2 pictures"


def test_a_picture_gives_the_same_crops_whatever_else_is_there(pictures, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_crops(pictures_of_folder(pictures), first)
    Image.effect_noise((800, 600), 80).save(pictures / "a new one.png")
    write_crops(pictures_of_folder(pictures), second)
    assert contents(first).items() < contents(second).items()
    write_crops(pictures_of_folder(pictures), first)  # replaces what was there
    assert contents(first) == contents(second)


def test_the_first_crop_is_the_largest_and_the_others_lie_within_the_picture():
    boxes = list(crop_boxes((1001, 400), random.Random(0)))
    assert boxes[0] == (100, 0, 900, 400)
    widths = [right - left for left, _, right, _ in boxes]
    assert all(400 <= width <= 800 for width in widths)
    assert len(set(widths)) == len(boxes) == 8
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert right <= 1001
        assert top >= 0
        assert bottom <= 400
        assert bottom - top == (right - left) // 2


def test_crops_have_the_colours_of_their_place(tmp_path):
    ramp = np.zeros((300, 600, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, 600)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    output = tmp_path / "crops"
    write_crops(pictures_of_folder(tmp_path), output)
    (first,) = output.rglob("0.jpg")
    with Image.open(first) as crop:
        reds = np.asarray(crop)[..., 0].astype(float)
    assert np.abs(reds - np.linspace(0, 255, 512)).max() < 4


@pytest.mark.parametrize("content", ["missing", "empty", "too small"])
def test_folders_without_usable_pictures_are_refused_by_name(content, tmp_path):
    folder = tmp_path / "mine"
    if content != "missing":
        folder.mkdir()
    if content == "too small":
        Image.new("RGB", (100, 100)).save(folder / "icon.png")
    script = photograph_crops.__file__
    output = tmp_path / "crops"
    done = subprocess.run(
        [sys.executable, script, output, folder], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    expected = {
        "missing": f"error: {folder}: no such folder",
        "empty": f"error: {folder} has no pictures",
        "too small": "error: none of the 1 pictures gives a crop: each needs at least 256x128",
    }
    assert expected[content] in done.stderr
    assert not output.exists()


def test_fetching_says_which_command_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="fetched with apt-get, which is not on this machine"):
        photograph_crops.fetch(tmp_path / "packages", "photograph")
    assert not (tmp_path / "packages").exists()
