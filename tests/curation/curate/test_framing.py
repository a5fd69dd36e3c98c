import numpy as np
import pytest
from curation_pictures import CURATE, but, scene
from PIL import Image

from pdm.curation.curate.framing.frame import frame
from pdm.data.decoding.pixels import Box


def pixels_of(image):
    return np.asarray(image)


def test_a_picture_without_borders_is_all_content():
    found = frame(pixels_of(scene(0)), (320, 200), CURATE)
    assert found.content == Box(0, 0, 320, 200)
    assert found.border_share == 0
    assert (found.crop.width_px, found.crop.height_px) == (320, 160)


@pytest.mark.parametrize("size", [(320, 200), (1280, 800), (2571, 1607)])
def test_a_reduced_copy_frames_the_full_picture(size):
    full = scene(1).resize(size)
    found = frame(pixels_of(scene(1)), size, CURATE)
    whole = frame(pixels_of(full), size, CURATE)
    for name in ("left_px", "top_px", "width_px", "height_px"):
        assert abs(getattr(found.crop, name) - getattr(whole.crop, name)) <= 0.02 * size[0]


def test_the_crop_lies_within_the_borders():
    picture = Image.new("RGB", (320, 320), "black")
    picture.paste(scene(2), (0, 60))
    found = frame(pixels_of(picture), (640, 640), CURATE)
    assert found.content.height_px == pytest.approx(400, abs=10)
    assert found.border_share == pytest.approx(0.375, abs=0.02)
    assert found.crop.top_px >= 120
    assert found.crop.top_px + found.crop.height_px <= 520


def test_what_is_left_may_be_too_small_for_a_crop():
    picture = Image.new("RGB", (320, 320), "black")
    picture.paste(scene(3), (0, 60))
    found = frame(pixels_of(picture), (320, 320), but(CURATE, height_px=201))
    assert found.crop is None
