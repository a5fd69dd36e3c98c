import numpy as np
import pytest
from curation_pictures import scene
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pdm.curation.curate.framing.crop import choose_crop, largest_size
from pdm.data.decoding.pixels import Box

sides = st.integers(1, 5000)


@given(sides, sides, st.integers(1, 2500), st.integers(1, 2500))
def test_the_largest_box_fits_and_touches_two_sides(width, height, across, down):
    found_width, found_height = largest_size(width, height, (across, down))
    assert found_width <= width
    assert found_height <= height
    assert found_width == width or found_height == height
    if width >= across and height >= down:  # large enough: the crop never needs enlarging
        assert found_width >= across
        assert found_height >= down


@pytest.mark.parametrize(
    ("size", "expected"),
    [((2048, 1024), (2048, 1024)), ((2560, 1600), (2560, 1280)), ((5000, 1024), (2048, 1024))],
)
def test_known_sizes(size, expected):
    assert largest_size(*size, (2048, 1024)) == expected


def crop_of(pixels, aspect):
    return choose_crop(pixels, (pixels.shape[1], pixels.shape[0]), aspect)


def picture_with_content(width, height, top, left, bottom, right):
    pixels = np.full((height, width, 3), 128, dtype=np.uint8)
    texture = np.asarray(scene(5, right - left, bottom - top))
    pixels[top:bottom, left:right] = texture
    return pixels


def test_a_subject_at_the_bottom_is_in_the_crop():
    pixels = picture_with_content(400, 400, top=280, left=0, bottom=400, right=400)
    box = crop_of(pixels, (2, 1))
    assert box.height_px == 200
    assert box.top_px >= 180


def test_a_subject_at_the_right_is_in_the_crop():
    pixels = picture_with_content(800, 200, top=0, left=600, bottom=200, right=800)
    box = crop_of(pixels, (2, 1))
    assert (box.width_px, box.height_px, box.top_px) == (400, 200, 0)
    assert box.left_px >= 360


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_without_content_is_cropped_in_the_middle(value):
    pixels = np.full((400, 400, 3), value, dtype=np.uint8)
    assert crop_of(pixels, (2, 1)) == Box(0, 100, 400, 200)


def test_content_that_is_even_all_over_is_cropped_in_the_middle():
    checks = np.indices((400, 400)).sum(axis=0) // 20 % 2 * 255
    pixels = np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)
    assert abs(crop_of(pixels, (2, 1)).top_px - 100) <= 10


def test_noise_in_the_sky_does_not_count():
    pixels = picture_with_content(400, 400, top=250, left=0, bottom=400, right=400)
    grain = np.random.default_rng(0).integers(-6, 7, (250, 400, 1))
    pixels[:250] = (128 + grain).astype(np.uint8)
    assert crop_of(pixels, (2, 1)).top_px >= 150


def landscape(clouds, ground, skyline, size=400, seed=0):
    """Cloudy sky over calm ground, (size, size, 3); the skyline at a share of the height."""
    random = np.random.default_rng(seed)
    down = np.linspace(0, 1, size)[:, None]
    soft = Image.fromarray(random.normal(0, 1, (12, 12)).astype(np.float32))
    soft = np.asarray(soft.resize((size, size), Image.Resampling.BICUBIC))
    sky = np.array((150, 170, 200)) + clouds * soft[:, :, None]
    picture = np.where((down > skyline)[:, :, None], ground, sky)
    return (picture + random.normal(0, 2, (size, size, 1))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("skyline", [0.55, 0.7, 0.8])
@pytest.mark.parametrize("ground", [(40, 70, 90), (90, 110, 60), (235, 235, 240)])
def test_dramatic_clouds_do_not_push_the_ground_out(skyline, ground):
    for seed in range(3):
        box = crop_of(landscape(40, ground, skyline, seed=seed), (2, 1))
        assert box.top_px + box.height_px >= 400 * skyline + 0.19 * box.height_px


def test_a_strip_of_ground_at_the_very_bottom_is_in_the_crop():
    box = crop_of(landscape(40, (40, 60, 50), 0.93), (2, 1))
    assert box.top_px + box.height_px == 400


def test_a_strip_of_sky_at_the_very_top_need_not_be_in_the_crop():
    pixels = picture_with_content(400, 400, top=200, left=0, bottom=400, right=400)
    pixels[:20] = (200, 220, 255)
    assert crop_of(pixels, (2, 1)).top_px >= 150


def test_a_gradient_has_no_skyline():
    pixels = np.linspace(40, 220, 400)[:, None, None].repeat(400, 1).repeat(3, 2).astype(np.uint8)
    pixels[40:160] = np.asarray(scene(6, 400, 120))
    assert crop_of(pixels, (2, 1)).top_px <= 60


def test_a_mirrored_picture_has_the_mirrored_crop():
    pixels = np.asarray(scene(3, 400, 400))
    box, mirrored = crop_of(pixels, (2, 1)), crop_of(pixels[::-1], (2, 1))
    assert abs(box.top_px + box.height_px + mirrored.top_px - 400) <= 4


def test_a_picture_of_the_right_shape_is_not_cropped():
    assert crop_of(np.asarray(scene(1, 256, 128)), (256, 128)) == Box(0, 0, 256, 128)


def test_a_tiny_picture_does_no_harm():
    assert crop_of(np.zeros((1, 3, 3), dtype=np.uint8), (2, 1)).height_px == 1
