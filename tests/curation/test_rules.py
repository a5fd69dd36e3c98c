import pytest
from curation_pictures import CURATE, but

from pdm.curation.curate.rules import reason_from_header, reason_from_scores
from pdm.curation.curate.scores import Scores
from pdm.data.pixels import Header

GOOD = Scores(sharpness=0.5, high_frequency=0.02, detail_share=0.4, contrast=0.4, brightness=0.5)
LIMITS = but(CURATE, width_px=2048, height_px=1024, max_megapixels=20.0)


@pytest.mark.parametrize(
    ("width_px", "height_px", "reason"),
    [
        (2048, 1024, None),  # exactly at both limits: stays
        (2047, 1024, "too_small"),
        (2048, 1023, "too_small"),
        (2048, 2048, None),  # the crop keeps exactly half
        (2048, 2049, "wrong_shape"),
        (4096, 1024, None),
        (4097, 1024, "wrong_shape"),
        (5000, 4000, None),
        (5000, 4001, "too_many_pixels"),
        (1, 60000, "too_small"),  # two rules hit; the first names the reason
    ],
)
def test_limits_on_size_and_shape(width_px, height_px, reason):
    drop = reason_from_header(Header(width_px, height_px, "JPEG", "RGB", animated=False), LIMITS)
    assert (drop and drop.reason) == reason


def test_an_animation_is_dropped():
    drop = reason_from_header(Header(4000, 2000, "WEBP", "RGB", animated=True), LIMITS)
    assert drop
    assert drop.reason == "animated"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"brightness": 0.08}, None),
        ({"brightness": 0.079}, "dark"),
        ({"brightness": 0.92}, None),
        ({"brightness": 0.921}, "light"),
        ({"contrast": 0.05}, None),
        ({"contrast": 0.049}, "low_information"),
        ({"detail_share": 0.02}, None),
        ({"detail_share": 0.019}, "low_information"),
        ({"sharpness": 0.22}, None),
        ({"sharpness": 0.219}, "blurry"),
        ({"high_frequency": 0.007}, None),
        ({"high_frequency": 0.0069}, "enlarged"),
        ({"sharpness": 0.0, "brightness": 0.0}, "dark"),  # two rules hit; the first names it
    ],
)
def test_limits_on_scores(changes, reason):
    drop = reason_from_scores(but(GOOD, **changes), CURATE)
    assert (drop and drop.reason) == reason


def test_the_sentence_gives_value_and_limit():
    drop = reason_from_scores(but(GOOD, sharpness=0.125), CURATE)
    assert drop
    assert "0.125" in drop.detail
    assert "0.22" in drop.detail
    assert "8.0 pixels" in drop.detail
    header = reason_from_header(Header(1920, 1080, "JPEG", "RGB", animated=False), LIMITS)
    assert header
    assert "1920 x 1080" in header.detail
    assert "2048 x 1024" in header.detail
