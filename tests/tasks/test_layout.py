"""Boxes as tokens: what the network of the task layout reads."""

import numpy as np
import pytest
import torch

from pdm.config.task import LayoutTask
from pdm.data.annotations.boxes import FACT, LabelledBox, Layout, crop_boxes, parse_boxes
from pdm.models.text import TextTransformer
from pdm.tasks.layout import BoxLayout
from pdm.tasks.layout_tokens import grid_side
from pdm.tasks.task import Example, Levels, refuse_to_encode

LDM = LayoutTask(
    kind="layout",
    max_boxes=30,
    vocabulary_size=8192,
    width=512,
    depth=16,
    num_heads=8,
    head_width=64,
)
SMALL = LayoutTask(
    kind="layout", max_boxes=2, vocabulary_size=26, width=8, depth=1, num_heads=2, head_width=4
)
FACTS = {FACT: {"classes": ["boat", "sun"], "crop": [0.0, 0.0, 1.0, 1.0]}}
BOAT = LabelledBox("boat", 0.25, 0.5, 0.5, 0.5)
SUN = LabelledBox("sun", 0.0, 0.0, 0.25, 0.25)


def test_the_published_sizes_are_those_of_ldm():
    """92 tokens; 54.7 million parameters, and those of a projection to logits, (512 + 1) x 8192,
    which LDM's code has and conditioning never uses: with the network's 246.28 million 305 million,
    where the paper says 306."""
    assert LDM.transformer.max_tokens == 92
    assert grid_side(8192) == 90
    with torch.device("meta"):
        count = sum(weight.numel() for weight in TextTransformer(LDM.transformer).parameters())
    assert count == 54_656_000
    assert (246_277_379 + count + 513 * 8192) / 306e6 == pytest.approx(1, rel=0.005)


def test_a_box_is_two_corners_on_the_grid_and_a_class_and_the_crop_stands_last():
    layout = Layout((SUN, BOAT), crop=(0.0, 0.25, 1.0, 0.75))
    found = BoxLayout(SMALL, FACTS).condition([Example("a", layout=layout)], refuse_to_encode)
    boat = [2 * 5 + 1, 4 * 5 + 3, 0]  # row, column of a grid of 5 x 5; the larger box comes first
    sun = [0, 1 * 5 + 1, 1]
    assert found.tokens.tolist() == [[*boat, *sun, 1 * 5 + 0, 3 * 5 + 4]]
    assert found.mask.all()


def test_places_without_a_box_are_masked_and_the_smallest_of_too_many_are_left_out():
    task = BoxLayout(SMALL, FACTS)
    tiny = LabelledBox("sun", 0.5, 0.5, 0.01, 0.01)
    found = task.condition_of_layouts([Layout(), Layout((tiny, SUN, BOAT))])
    assert found.mask.tolist() == [[False] * 6 + [True] * 2, [True] * 8]
    assert torch.equal(found.tokens[1], task.condition_of_layouts([Layout((BOAT, SUN))]).tokens[0])


def test_a_dropped_condition_keeps_the_crop_only():
    task = BoxLayout(SMALL, FACTS)
    crop = (0.0, 0.25, 1.0, 0.75)
    shown = task.condition_of_layouts([Layout((BOAT,), crop)] * 2)
    found = task.drop(task.sizes(Levels((4,), (4,)), FACTS), shown, torch.tensor([True, False]))
    expected = task.condition_of_layouts([Layout((), crop), Layout((BOAT,), crop)])
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.mask, expected.mask)


def test_pixels_as_in_coco_and_shares_say_the_same():
    shares = {"class": "boat", "x": 0.1, "y": 0.5, "width": 0.3, "height": 0.25}
    pixels = {"class": "boat", "bbox": [20, 50, 60, 25]}
    assert parse_boxes([shares]) == parse_boxes([pixels], (200, 100))
    assert parse_boxes([parse_boxes([shares])[0].as_record()]) == parse_boxes([shares])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ({"class": "boat", "bbox": [1, 2, 3, 4]}, "bbox in pixels"),
        ({"x": 0, "y": 0, "width": 1, "height": 1}, "box 1 has the class None"),
        ({"class": "boat", "x": 0, "y": 0, "width": 0, "height": 1}, "empty"),
        ({"class": "boat", "x": 0.5, "y": 0, "width": 0.6, "height": 1}, "shares are from 0 to 1"),
        ({"class": "boat", "x": 0, "y": 0, "width": "1", "height": 1}, "numbers"),
        ({"class": "boat", "x": 0, "y": 0, "width": float("nan"), "height": 1}, "numbers"),
        (3, "not an object"),
    ],
)
def test_a_box_that_does_not_fit_is_named(box, message):
    with pytest.raises(ValueError, match=message):
        parse_boxes([box])


def test_cropped_boxes_cover_the_same_pixels_and_mirroring_twice_changes_nothing():
    crop = (0.25, 0.1, 0.75, 0.9)
    kept, num_dropped = crop_boxes((BOAT, SUN), crop)
    assert num_dropped == 1  # the sun is outside
    picture = np.zeros((100, 100))
    picture[50:100, 25:75] = 1
    part = picture[10:90, 25:75]
    (box,) = kept
    rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
    assert rows[0] / 80 == pytest.approx(box.y)
    assert (rows[-1] + 1) / 80 == pytest.approx(box.y + box.height)
    assert (columns[0] / 50, (columns[-1] + 1) / 50) == pytest.approx((box.x, box.x + box.width))
    layout = Layout((SUN,), (0.0, 0.1, 0.5, 0.9))
    assert layout.mirrored().boxes[0].x == 0.75
    assert layout.mirrored().mirrored() == layout
