import pytest
from curation_pictures import CURATE, but

from pdm.config.stages.curate import ContentConfig, PeopleConfig
from pdm.curation.curate.rules import reason
from pdm.data.decisions import DECIDED

GOOD = dict.fromkeys(DECIDED) | {
    "width_px": 4000,
    "height_px": 2000,
    "animated": False,
    "content_width_px": 4000,
    "content_height_px": 2000,
    "border_share": 0.0,
    "transparent_share": 0.0,
    "sharpness": 0.5,
    "high_frequency": 0.02,
    "detail_share": 0.4,
    "contrast": 0.4,
    "brightness": 0.5,
    "black_share": 0.0,
    "white_share": 0.0,
    "colour": 0.05,
    "drawing": 0.01,
    "blocking": 0.1,
    "repetition": 0.0,
    "crop_width_px": 4000,
}
LIMITS = but(CURATE, width_px=2048, height_px=1024, max_megapixels=20.0, allow_drawings=False)


def reason_of(config=LIMITS, **changes):
    drop = reason(GOOD | changes, config)
    return drop and drop.reason


@pytest.mark.parametrize(
    ("width_px", "height_px", "expected"),
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
def test_limits_on_size_and_shape(width_px, height_px, expected):
    size = {"width_px": width_px, "height_px": height_px}
    content = {f"content_{name}": value for name, value in size.items()}
    assert reason_of(**size, **content) == expected
    unmeasured = dict.fromkeys(content)  # the header alone says as much
    assert reason_of(**size, **unmeasured) == expected


def test_borders_do_not_count_as_size():
    letterboxed = {"content_width_px": 2600, "content_height_px": 1000, "border_share": 0.3}
    drop = reason(GOOD | {"width_px": 2600, "height_px": 1400} | letterboxed, LIMITS)
    assert drop
    assert drop.reason == "too_small"
    assert "2600 x 1000 without its borders" in drop.detail


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"animated": True}, "animated"),
        ({"fault": "unreadable_heic", "fault_detail": "The file is a HEIC."}, "unreadable_heic"),
        ({"border_share": 0.5}, None),
        ({"border_share": 0.51}, "border"),
        ({"transparent_share": 0.05}, None),
        ({"transparent_share": 0.051}, "transparent"),
        ({"brightness": 0.08}, None),
        ({"brightness": 0.079}, "dark"),
        ({"black_share": 0.4}, None),
        ({"black_share": 0.41}, "dark"),
        ({"brightness": 0.92}, None),
        ({"brightness": 0.921}, "light"),
        ({"white_share": 0.41}, "light"),
        ({"contrast": 0.05}, None),
        ({"contrast": 0.049}, "low_information"),
        ({"detail_share": 0.02}, None),
        ({"detail_share": 0.019}, "low_information"),
        ({"colour": 0.003}, None),
        ({"colour": 0.0029}, "grey"),
        ({"drawing": 0.7}, None),
        ({"drawing": 0.71}, "drawing"),
        ({"blocking": 0.9}, None),
        ({"blocking": 0.91}, "blocky"),
        ({"sharpness": 0.22}, None),
        ({"sharpness": 0.219}, "blurry"),
        ({"high_frequency": 0.0085}, None),
        ({"high_frequency": 0.0069}, "enlarged"),
        ({"repetition": 0.25}, None),
        ({"repetition": 0.251}, "enlarged"),
        ({"sharpness": 0.0, "brightness": 0.0}, "dark"),  # two rules hit; the first names it
    ],
)
def test_limits_on_scores(changes, expected):
    assert reason_of(**changes) == expected


def test_an_allowed_property_is_no_reason_to_drop():
    assert reason_of(but(LIMITS, allow_grey=True), colour=0.0) is None
    assert reason_of(but(LIMITS, allow_drawings=True), drawing=1.0) is None


def test_the_limit_of_likeness_applies_with_content_only():
    asked = but(LIMITS, content=ContentConfig(like="a", unlike="b", min_likeness=0.5))
    assert reason_of(asked, likeness=0.5) is None
    assert reason_of(asked, likeness=0.49) == "other_content"
    assert reason_of(asked, likeness=None) is None  # too small to be looked at
    assert reason_of(LIMITS, likeness=0.0) is None


@pytest.mark.parametrize(
    ("num_people", "crop", "expected"),
    [
        (0, 2000, "no_people"),
        (1, 2000, None),
        (3, 2000, None),
        (4, 2000, "crowd"),
        (1, None, "face_cut"),
    ],
)
def test_limits_on_people(num_people, crop, expected):
    people = but(LIMITS, people=PeopleConfig(min_faces=1, max_faces=3, min_face_share=0.1))
    assert reason_of(people, num_people=num_people, crop_width_px=crop) == expected
    assert reason_of(LIMITS, num_people=None) is None


def test_a_score_that_was_not_measured_breaks_no_limit():
    measured = [name for name, value in GOOD.items() if isinstance(value, float)]
    assert reason_of(**dict.fromkeys(measured)) is None


def test_the_sentence_gives_value_and_limit():
    drop = reason(GOOD | {"sharpness": 0.125}, LIMITS)
    assert drop
    assert "0.125" in drop.detail
    assert "0.22" in drop.detail
    assert "8.0 pixels" in drop.detail
    small = reason(GOOD | {"width_px": 1920, "height_px": 1080, "content_width_px": None}, LIMITS)
    assert small
    assert "1920 x 1080" in small.detail
    assert "2048 x 1024" in small.detail
