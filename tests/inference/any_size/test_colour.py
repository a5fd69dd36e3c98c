"""Colours of an enlarged picture are those of the original, however it comes in bands."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pdm.inference.any_size.colour import REACH, correct_colour


@dataclass
class Known:
    """An original of the size of the result."""

    picture: np.ndarray

    def crop(self, top, left, height, width):
        return self.picture[top : top + height, left : left + width]


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(60, 196, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def with_detail(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 6, picture.shape)
    return (picture + noise).round().clip(0, 255).astype(np.uint8)


def corrected(how, picture, original, folder, rows=70):
    bands = (picture[top : top + rows] for top in range(0, len(picture), rows))
    found = correct_colour(how, bands, Known(original), picture.shape[:2], folder / "scratch")
    return np.concatenate(list(found))


@pytest.mark.parametrize("how", ["adain", "wavelet", "none"])
@given(height=st.integers(1, 400), rows=st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_pixels_do_not_depend_on_the_bands(how, height, rows, tmp_path_factory):
    folder, original = tmp_path_factory.mktemp("bands"), smooth(0, height, 40)
    picture = with_detail(255 - original)
    whole = corrected(how, picture, original, folder, rows=height)
    np.testing.assert_array_equal(corrected(how, picture, original, folder, rows), whole)
    assert whole.shape == picture.shape


def test_adain_gives_each_channel_the_mean_and_deviation_of_the_original(tmp_path):
    original = smooth(1, 90, 120)
    picture = with_detail((40 + 0.5 * smooth(2, 90, 120) * [1.0, 0.6, 0.8]).astype(np.uint8))
    found = corrected("adain", picture, original, tmp_path).astype(float)
    np.testing.assert_allclose(found.mean((0, 1)), original.mean((0, 1)), atol=0.3)
    np.testing.assert_allclose(found.std((0, 1)), original.std((0, 1)), atol=0.5)


def test_wavelet_is_stable_srs(tmp_path):
    """Five levels of StableSR's blur, on the whole picture."""
    original, picture = smooth(1, 150, 170), with_detail(smooth(2, 150, 170))

    def coarse(values):
        for level in range(5):
            kernel = np.zeros(2 ** (level + 1) + 1, np.float32)
            kernel[[0, 2**level, -1]] = (0.25, 0.5, 0.25)
            values = cv2.sepFilter2D(
                values, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE
            )
        return values

    high = picture - coarse(picture.astype(np.float32))
    expected = (high + coarse(original.astype(np.float32))).round().clip(0, 255)
    found = corrected("wavelet", picture, original, tmp_path)
    assert np.abs(found - expected).max() <= 1  # where rounding is a toss-up
    assert (found == expected).mean() > 0.999


@given(shift=st.tuples(*[st.integers(-20, 20)] * 3), rows=st.integers(1, 99))
@settings(max_examples=20, deadline=None)
def test_wavelet_takes_a_tint_away_and_keeps_detail(shift, rows, tmp_path_factory):
    original = smooth(3, 130, 60)
    picture = with_detail(original)
    folder = tmp_path_factory.mktemp("tint")
    plain = corrected("wavelet", picture, original, folder)
    tinted = corrected(
        "wavelet", picture + np.array(shift, np.int8).astype(np.uint8), original, folder, rows
    )
    assert np.abs(tinted.astype(int) - plain).max() <= 1
    fine = picture.astype(float) - original
    assert np.corrcoef(fine.ravel(), (plain - original.astype(float)).ravel())[0, 1] > 0.99


@pytest.mark.parametrize("how", ["adain", "wavelet"])
def test_a_picture_with_the_right_colours_stays(how, tmp_path):
    picture = with_detail(smooth(4, 80, 50))
    found = corrected(how, picture, picture, tmp_path)
    assert np.abs(found.astype(int) - picture).max() <= (1 if how == "adain" else 0)


def test_a_plain_picture_stays_plain(tmp_path):
    original = np.full((9, 9, 3), 200, np.uint8)
    assert (corrected("adain", original - 90, original, tmp_path) == 200).all()
    assert (corrected("wavelet", original - 90, original, tmp_path) == 200).all()


def test_far_rows_do_not_matter(tmp_path):
    original = smooth(5, 200, 40)
    picture = with_detail(original)
    changed = picture.copy()
    changed[150:] = 0
    rows = slice(0, 150 - REACH)
    found = [corrected("wavelet", each, original, tmp_path)[rows] for each in (picture, changed)]
    np.testing.assert_array_equal(*found)
