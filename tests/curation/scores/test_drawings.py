"""The judge of drawings, on photographs and drawings that taught it nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from curation_pictures import CURATE, but, jpeg, png, scene
from PIL import Image, ImageDraw, ImageFilter

from pdm.curation.curate.judge import judge
from pdm.curation.curate.scores import drawing, features
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.errors import BadInput

CONFIG = but(CURATE, allow_drawings=False)
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


def photograph(name):
    """One that comes with scikit-image."""
    return Image.open(Path(skimage.__file__).parent / "data" / name).convert("RGB")


def shaded_hills():
    """Vector art with soft gradients and grain, whose areas are not plain."""
    width, height = 640, 320
    down, across = np.mgrid[:height, :width].astype(np.float64)
    picture = np.stack([90 + down / 4, 120 + down / 3, 235 - down / 5], axis=2)
    for hill in range(5):
        rim = 120 + 40 * hill + 30 * np.sin(across / (50 + 20 * hill) + hill)
        shade = np.clip(1 - (down - rim) / 250, 0.3, 1)[..., None]
        colour = np.array([40 + 30 * hill, 150 - 20 * hill, 160 - 30 * hill])
        picture = np.where((down > rim)[..., None], shade * colour, picture)
    drawn = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    ImageDraw.Draw(drawn).ellipse((450, 30, 530, 110), fill=(255, 240, 190))
    soft = np.asarray(drawn.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
    grain = np.random.default_rng(0).normal(0, 2, soft.shape)
    return Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))


def score_of(image):
    return judge(png(image), CONFIG)["drawing"]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_is_not_a_drawing(name):
    image = photograph(name)
    assert score_of(image) <= CONFIG.max_drawing_likeness
    assert judge(jpeg(image, quality=60), CONFIG)["reason"] != "drawing"


@pytest.mark.parametrize("index", range(6))
def test_a_built_in_landscape_passes_for_a_photograph(index):
    assert score_of(Image.fromarray(draw(0, index, 640, 320))) <= CONFIG.max_drawing_likeness


@pytest.mark.parametrize("image", [scene(3), shaded_hills()], ids=["polygons", "shaded hills"])
def test_shaded_vector_art_with_grain_is_dropped_and_the_reason_says_how_sure_it_is(image):
    row = judge(png(image), CONFIG)
    assert row["reason"] == "drawing"
    assert row["detail"] == (
        f"Likeness to a drawing {row['drawing']:.4g}; at most "
        f"{CONFIG.max_drawing_likeness:g} is allowed."
    )
    assert judge(png(image), but(CONFIG, allow_drawings=True))["reason"] != "drawing"


def test_the_score_does_not_depend_on_the_number_of_threads():
    pixels = np.asarray(photograph("coffee.png"))
    threads = torch.get_num_threads()
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(features.compute_features(pixels))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0].pooled, found[1].pooled)
    assert np.array_equal(found[0].textures, found[1].textures)


def test_the_coefficients_name_the_packages_that_taught_them():
    head = json.loads(drawing.HEAD.read_text(encoding="utf-8"))
    assert len(head["weights"]) == len(
        drawing.inputs_of(features.compute_features(np.zeros((9, 9, 3), np.uint8)))
    )
    assert {"mate-backgrounds", "openclipart-png"} <= set(head["packages"])


def test_other_coefficients_are_refused(tmp_path, monkeypatch):
    changed = tmp_path / "drawing_head.json"
    changed.write_text(drawing.HEAD.read_text(encoding="utf-8") + " ", encoding="utf-8")
    monkeypatch.setattr(drawing, "HEAD", changed)
    drawing._head.cache_clear()
    try:
        with pytest.raises(BadInput, match=f"{changed} has sha256 .*install the project again"):
            drawing.load_head()
    finally:
        drawing._head.cache_clear()
