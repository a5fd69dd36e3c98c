"""Counts in messages: one thing is not called several."""

from collections import Counter

import pytest

from pdm.counts import counted
from pdm.curation.scrape.summary import Summary
from pdm.curation.shard.box_counts import BoxCounts
from pdm.curation.shard.stage import warn_if_few
from pdm.training.checkpoints.plan import Cost


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((0, "image"), "0 images"),
        ((1, "image"), "1 image"),
        ((2000, "image"), "2,000 images"),
        ((1, "box", "boxes"), "1 box"),
        ((3, "box", "boxes"), "3 boxes"),
    ],
)
def test_only_one_is_in_the_singular(words, said):
    assert counted(*words) == said


def test_one_image_is_not_called_several(caplog):
    warn_if_few(1)
    assert "shard: 1 training image is few: " in caplog.text
    warn_if_few(2)
    assert "shard: 2 training images are few: " in caplog.text
    assert str(Cost(images=1, seconds=60)).endswith(" for 1 image")
    boxes = BoxCounts(by_class=Counter(boat=1), num_pictures=1)
    assert boxes.describe().startswith("1 box on 1 image (boat 1); ")
    assert Summary(Counter({("ok", None): 1})).line().startswith("1 URL or file: 1 ok")
