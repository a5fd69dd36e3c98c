"""The table of limits says what the rules do: each limit, its side, its value and its reason."""

import dataclasses

import numpy as np
import pytest
from curation_pictures import CURATE, but

from pdm.config.stages.curate import ContentConfig, PeopleConfig
from pdm.curation.curate.rules import reason
from pdm.curation.score_table import SCORES
from pdm.data.decisions import DECIDED

PEOPLE = PeopleConfig(min_faces=2, max_faces=4, min_face_share=0.1)
SIZE = {"width_px": 2000, "height_px": 1000, "max_megapixels": 20.0}
CONTENT = ContentConfig(like="like", unlike="unlike", min_likeness=0.6)
CONFIG = but(CURATE, **SIZE, people=PEOPLE, content=CONTENT, allow_drawings=False)
GOOD = dict.fromkeys(DECIDED) | {
    **{"width_px": 4000, "height_px": 2000, "content_width_px": 4000, "content_height_px": 2000},
    **{"target_width_px": 2000, "target_height_px": 1000, "crop_width_px": 4000},
    **{"animated": False, "border_share": 0.0, "transparent_share": 0.0, "num_people": 3},
    **{"sharpness": 0.5, "high_frequency": 0.02, "detail_share": 0.4, "contrast": 0.4},
    **{"brightness": 0.5, "black_share": 0.0, "white_share": 0.0, "colour": 0.05},
    **{"drawing": 0.01, "likeness": 0.9, "blocking": 0.1, "repetition": 0.0},
}
LIMITS = dataclasses.asdict(CONFIG)
BOUNDS = [(score, bound) for score in SCORES for bound in score.bounds(LIMITS)]
# A picture whose computed score is a given value, or just beyond.
COMPUTED = {
    "megapixels": lambda value: {"width_px": 4000, "height_px": value * 250},
    "room": lambda value: {"content_width_px": value * 2000, "content_height_px": 2000},
    "crop_fraction": lambda value: {"content_width_px": 4000, "content_height_px": 2000 / value},
}


def reason_of(row):
    drop = reason(row, CONFIG)
    return drop and drop.reason


def with_score(score, value):
    change = COMPUTED.get(score.name, lambda one: {score.name: one})
    return GOOD | change(value)


@pytest.mark.parametrize(
    ("score", "bound"), BOUNDS, ids=[f"{one.name}-{bound.name}" for one, bound in BOUNDS]
)
def test_each_limit_is_where_the_rules_have_it(score, bound):
    at_limit = with_score(score, bound.value)
    step = 1 if score.name == "num_people" else 0.01 * bound.value
    beyond = with_score(score, bound.value - bound.sign * step)
    assert score.of(at_limit) == pytest.approx(bound.value)
    assert reason_of(at_limit) is None
    assert bound.margin(score.of(beyond)) < 0
    assert reason_of(beyond) == bound.reason


def test_no_limit_of_the_settings_is_missing():
    named = {bound.name for _, bound in BOUNDS}
    settings = {name for name in CURATE.__slots__ if name.startswith(("min_", "max_"))}
    settings |= {f"people.{name}" for name in PeopleConfig.__slots__} | {"content.min_likeness"}
    assert settings - named == {"min_kept", "people.min_face_share"}  # of no single score


def test_a_limit_that_does_not_hold_is_not_named():
    limits = dataclasses.asdict(
        but(CONFIG, allow_grey=True, allow_drawings=True, people=None, content=None)
    )
    reasons = {bound.reason for score in SCORES for bound in score.bounds(limits)}
    assert not {"grey", "drawing", "crowd", "no_people", "other_content"} & reasons


def test_what_was_not_measured_has_no_score():
    unfetched = dict.fromkeys(GOOD)
    assert {score.of(unfetched) for score in SCORES} == {None}


def test_the_crops_share_is_that_of_whole_pixels():
    [score] = [score for score in SCORES if score.name == "crop_fraction"]
    sizes = np.array([[3000.0, 1001.0, np.nan, np.nan, 2000.0, 1000.0]]).T
    assert score.values(*sizes) == 2002 * 1001 / (3000 * 1001)
