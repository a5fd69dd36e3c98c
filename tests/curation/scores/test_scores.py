import numpy as np
import pytest
from curation_pictures import CURATE, enlarged, jpeg, scene
from PIL import Image, ImageFilter

from pdm.curation.curate.scores import focus
from pdm.curation.curate.scores import measure as scores
from pdm.data.decoding.pixels import decode


def measured(image):
    pixels = np.asarray(image)
    return scores.measure(pixels, pixels, reduction=1)


def test_a_hard_step_has_sharpness_one():
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, 16:] = 255
    assert measured(Image.fromarray(pixels)).sharpness == pytest.approx(1.0)


@pytest.mark.parametrize("sigma", [2, 4])
def test_a_blurred_step_has_the_slope_of_its_gaussian(sigma):
    step = np.zeros((128, 128), dtype=np.float64)
    step[:, 48:] = 1
    x = np.arange(-30, 31)
    kernel = np.exp(-(x**2) / (2 * sigma**2)) / np.exp(-(x**2) / (2 * sigma**2)).sum()
    blurred = np.array([np.convolve(np.pad(row, 30, "edge"), kernel, "valid") for row in step])
    slopes, ranges = focus.edges((255 * blurred).astype(np.uint8))
    assert ((slopes / 255)[ranges > 0.9 * 255].max()) == pytest.approx(0.4 / sigma, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_blur_lowers_sharpness_step_by_step(seed):
    values = [
        measured(scene(seed).filter(ImageFilter.GaussianBlur(radius))).sharpness
        for radius in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.4
    assert values[-1] < 0.2


def test_a_sharp_subject_before_a_soft_background_is_sharp():
    soft = scene(1, 640, 320).filter(ImageFilter.GaussianBlur(6))
    soft.paste(scene(2, 160, 120), (240, 100))
    assert measured(soft).sharpness > 0.4


def test_noise_on_a_blurred_picture_does_not_make_it_sharp():
    soft = np.asarray(scene(1).filter(ImageFilter.GaussianBlur(4))).astype(float)
    noisy = soft + np.random.default_rng(0).normal(0, 1, soft.shape)
    assert measured(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))).sharpness < 0.22


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("times", [2, 3])
def test_enlarging_removes_fine_detail(seed, times):
    original = measured(scene(seed)).high_frequency
    copy = measured(decode(jpeg(enlarged(scene(seed), times), quality=95))).high_frequency
    assert original > 0.03
    assert copy < 0.25 * original
    if times == 3:
        assert copy < CURATE.min_high_frequency


def busy_and_soft(seed):
    """A busy background out of focus, with far more power than the sharp subject before it."""
    tiles = [
        scene(100 * seed + number).resize((128, 80), Image.Resampling.BOX) for number in range(20)
    ]
    picture = Image.new("RGB", (1024, 512))
    for number in range(7 * 8):
        picture.paste(tiles[number % 20], (number % 8 * 128, number // 8 * 80))
    picture = picture.filter(ImageFilter.GaussianBlur(1))
    picture.paste(scene(seed + 50, 260, 200), (380, 180))
    return picture


@pytest.mark.parametrize("seed", [0, 3])
def test_fine_detail_is_looked_for_in_the_sharpest_parts(seed):
    limit = CURATE.min_high_frequency
    image = busy_and_soft(seed)
    copy = decode(jpeg(enlarged(image, 2), quality=88))
    assert measured(decode(jpeg(image))).high_frequency > 5 * limit
    assert measured(copy).high_frequency < limit


def test_white_noise_has_as_much_power_in_every_band():
    values = np.random.default_rng(0).integers(0, 256, (256, 512, 1)).repeat(3, axis=2)
    assert measured(Image.fromarray(values.astype(np.uint8))).high_frequency == pytest.approx(
        1, abs=0.1
    )


def test_a_plain_picture_scores_nothing():
    found = measured(Image.new("RGB", (256, 128), (51, 51, 51)))
    assert (found.sharpness, found.high_frequency, found.detail_share, found.contrast) == (0,) * 4
    assert found.brightness == pytest.approx(0.2)


def test_a_slow_gradient_has_contrast_but_no_detail():
    ramp = np.linspace(0, 255, 512).astype(np.uint8)[None, :, None].repeat(256, 0).repeat(3, 2)
    found = measured(Image.fromarray(ramp))
    assert found.contrast == pytest.approx(0.9, abs=0.02)
    assert found.detail_share == 0
