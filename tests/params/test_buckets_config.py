"""Buckets in params: every wrong list is refused by name, and the presets fit their models."""

import math

import pytest

from pdm import params, presets
from pdm.config.buckets import training_size
from pdm.errors import BadInput

PRESETS = ("buckets-512", "buckets-1024", "buckets-2048x1024")


@pytest.mark.parametrize(
    ("buckets", "complaint"),
    [
        ("[]", "2048x1024"),  # the main size is missing
        ("[[1024, 2048]]", r"main size, width_px x height_px \(2048x1024\)"),
        ("[[2048, 1024], [2048, 1024]]", "2048x1024 and 2048x1024"),
        ("[[2048, 1024], [1024, 512]]", "one bucket for each shape"),
        ("[[2048, 1024], [1000, 1000]]", "1000x1000 .*62.5x62.5 pixels"),
        ("[[2048, 1024], [1536, 1280]]", "1536x1280 .*multiple of the largest downsampling"),
        ("[[2048, 1024], [0, 1024]]", "buckets"),
    ],
)
def test_a_list_that_does_not_fit_is_refused_by_name(buckets, complaint):
    with pytest.raises(BadInput, match=complaint):
        presets.load("scapes2k", [f"curate.buckets={buckets}"])


def test_all_buckets_are_reduced_by_the_factor_of_the_main_one():
    assert training_size((1024, 2048), (2048, 1024), (128, 64)) == (64, 128)
    assert training_size((1536, 1024), (2048, 1024), (128, 64)) == (96, 64)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_nine_shapes_of_one_area_in_multiples_of_64(name):
    curate = presets.load(name).curate
    area = curate.width_px * curate.height_px
    assert len(curate.sizes) == 9
    for width, height in curate.sizes:
        assert width % 64 == height % 64 == 0
        assert abs(math.log(width * height / area)) < 0.08
        assert (height, width) in curate.sizes


def test_a_file_without_buckets_has_one_size():
    text = presets.DEFAULT.read_text(encoding="utf-8")
    without = "".join(line for line in text.splitlines(True) if "buckets" not in line)
    curate = params.parse(without, presets.DEFAULT).curate
    assert curate.sizes == ((curate.width_px, curate.height_px),)
