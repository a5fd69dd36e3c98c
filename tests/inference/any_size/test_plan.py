"""Plans of pictures of any size: what is drawn, enlarged, cut and reduced."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pdm.config.sampling.any_size import MAX_SIDE, MIN_SIDE, parse_size
from pdm.errors import BadInput
from pdm.inference.any_size.fit import fit
from pdm.inference.any_size.plan import (
    MAX_CUT_FACTOR,
    Plan,
    plan_drawing,
    plan_enlargement,
)
from pdm.inference.any_size.rectangles import Rectangle

sides = st.integers(MIN_SIDE, MAX_SIDE)
sizes = st.tuples(sides, sides)
BUCKETS = [(256, 1024), (384, 640), (512, 512), (640, 384), (1024, 256)]
models = st.sampled_from([[(128, 256)], [(64, 128)], [(64, 64)], [(1024, 2048)], BUCKETS])
all_factors = st.sampled_from([(2,), (4,), (2, 4)])


def ends_inside(area: Rectangle, size: tuple[int, int]) -> bool:
    bottom, right = area.top + area.height, area.left + area.width
    slack = 1e-6 * max(size)
    return min(area.top, area.left) >= 0 and bottom <= size[0] + slack and right <= size[1] + slack


def steps_of(plan: Plan) -> list[tuple[tuple[int, int], Rectangle, tuple[int, int]]]:
    """Each cut: from a picture of which size, what, and the size that it becomes."""
    pictures = [plan.composition, *(each.result for each in plan.rounds)]
    areas = [*((each.area, each.size) for each in plan.rounds), (plan.area, plan.size)]
    return [(picture, *area) for picture, area in zip(pictures, areas, strict=True)]


@given(sizes, models, all_factors)
@settings(max_examples=400, deadline=None)
def test_every_size_is_reached_without_stretching_or_needless_pixels(size, known, factors):
    unit = 64
    plan = plan_drawing(size, known, factors, unit, unit)

    for picture, area, reduced in steps_of(plan):
        assert ends_inside(area, picture)
        vertical, horizontal = area.height / reduced[0], area.width / reduced[1]
        assert vertical == pytest.approx(horizontal, rel=1e-6)  # never squeezed
        assert vertical >= 1 - 1e-9  # cut and reduced, but enlarged by the networks only
        if math.isclose(vertical, 1):
            assert area.top == int(area.top)
            assert area.left == int(area.left)

    nearest = min(abs(math.log(size[1] * h / (size[0] * w))) for h, w in known)
    own = min(known, key=lambda each: math.dist(each, plan.composition))
    for side, whole, least in zip(plan.composition, size, own, strict=True):
        assert side >= least
        assert side % unit == 0
        assert side <= max(least, whole + unit)
    if nearest <= math.log(MAX_CUT_FACTOR):
        assert plan.composition in known

    product = math.prod(each.factor for each in plan.rounds)
    covered = [product * side / whole for side, whole in zip(plan.composition, size, strict=True)]
    assert min(covered) >= 1 - 1e-9
    if plan.rounds:
        assert min(covered) < min(factors) * (1 + 1e-9)  # one factor less would not cover it
    for each in plan.rounds:
        assert all(side % unit == 0 for side in each.result)
        assert all(a >= b for a, b in zip(each.result, own, strict=True))
    if len(plan.rounds) > 1:
        assert not plan.is_reduced_last
        largest = max(factors) * unit
        last = plan.rounds[-1].result
        assert all(a < b + largest for a, b in zip(last, size, strict=True))


@given(sizes, st.tuples(st.integers(1, 3000), st.integers(1, 3000)), all_factors)
@settings(max_examples=400, deadline=None)
def test_every_picture_is_enlarged_to_every_larger_size(size, picture, factors):
    if picture[0] >= size[0] and picture[1] >= size[1]:
        with pytest.raises(BadInput, match="not smaller than"):
            plan_enlargement(picture, size, (128, 256), factors, 64)
        return
    plan = plan_enlargement(picture, size, (128, 256), factors, 64)
    for each in plan.rounds:
        assert all(side % 64 == 0 for side in each.result)
        assert all(a >= b for a, b in zip(each.result, (128, 256), strict=True))
    for before, area, reduced in steps_of(plan):
        vertical, horizontal = area.height / reduced[0], area.width / reduced[1]
        assert vertical == pytest.approx(horizontal, rel=1e-6)
        assert vertical >= 1 - 1e-9
        assert min(area.top, area.left) >= 0
        if before != plan.composition:
            assert ends_inside(area, before)


@given(sizes, st.tuples(st.integers(1, 3000), st.integers(1, 3000)))
@settings(max_examples=200, deadline=None)
def test_an_enlarged_picture_shows_the_middle_of_the_original(size, picture):
    """Followed back through all rounds, the result is the largest area of its shape."""
    if picture[0] >= size[0] and picture[1] >= size[1]:
        return
    plan = plan_enlargement(picture, size, (128, 256), (2, 4), 64)
    area = plan.area
    for each in reversed(plan.rounds):
        scale = each.area.width / each.result[1]
        inner = area.times(scale)
        area = Rectangle(
            each.area.top + inner.top, each.area.left + inner.left, inner.height, inner.width
        )
    scale = max(size[0] / picture[0], size[1] / picture[1])
    assert area.height * scale == pytest.approx(size[0], rel=0.15, abs=64)
    assert ends_inside(area, picture)
    for start, side, whole in (
        (area.top, area.height, picture[0]),
        (area.left, area.width, picture[1]),
    ):
        assert start + side / 2 == pytest.approx(whole / 2, abs=1 + 0.1 * whole)


@pytest.mark.parametrize("size", [(140, 300), (128, 128), (700, 500), (250, 256), (1003, 2000)])
def test_what_is_shown_of_each_picture_is_what_the_result_shows_of_it(size):
    """A picture of coordinates goes through all rounds, enlarged by a plain filter."""
    plan = plan_drawing(size, [(64, 128)], (2, 4), 16, 16)
    for axis in (0, 1):
        picture = np.indices(plan.composition, np.uint8)[axis, :, :, None].repeat(3, axis=2)
        pictures = [picture]
        for each in plan.rounds:
            height, width = each.result
            small = Image.fromarray(fit(picture, each.area, each.size))
            picture = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
            pictures.append(picture)
        result = fit(picture, plan.area, size)
        for before, shown in zip(pictures, plan.shown_parts, strict=True):
            start, side = ((shown.top, shown.height), (shown.left, shown.width))[axis]
            for place in (0.1, 0.5, 0.9):
                wanted = result[int(place * size[0]), int(place * size[1]), 0]
                where = int(start + place * side)
                found = before[where, 0, 0] if axis == 0 else before[0, where, 0]
                assert abs(int(found) - int(wanted)) <= 1  # pixel of the composition


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ((128, 256), "compose 256x128"),
        ((128, 128), "compose 256x128, cut to 128x128"),
        ((150, 300), "compose 256x128, enlarge 2 times, reduce to 300x150"),
        ((512, 1024), "compose 256x128, enlarge 4 times"),
        (
            (2500, 6000),
            "compose 256x128, cut to 256x112, enlarge 4 times, cut to 1024x432, "
            "enlarge 4 times, reduce to 3008x1280, enlarge 2 times, cut to 6000x2500",
        ),
        (
            (1024, 18432),
            "compose 2304x128, enlarge 4 times, enlarge 2 times",
        ),
    ],
)
def test_plans_read_as_what_will_be_done(size, text):
    assert str(plan_drawing(size, [(128, 256)], (2, 4), 64, 64)) == text


@pytest.mark.parametrize(
    "text", ["127x500", "500x18433", "0x0", "-5x300", "6000", "6000x", "axb", "6e3x500", "1x2x3"]
)
def test_sizes_out_of_range_are_refused(text):
    with pytest.raises(ValueError, match="from 128 to 18,432"):
        parse_size(text)


def test_a_size_is_written_with_its_width_first():
    assert parse_size("6000x2500") == (2500, 6000)
    assert parse_size("128X18432") == (18432, 128)
