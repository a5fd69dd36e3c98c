import hashlib
import io

import cv2
import numpy as np
import pytest
from PIL import Image

from pdm.config.scrape import BuiltinSource
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.curation.scrape.drawing.noise import fractal, ridged, sample
from pdm.curation.scrape.drawing.scene import HOURS, LANDS, choose
from pdm.curation.scrape.sources import builtin, flawed

SIZE = (256, 144)


def decode(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def test_a_landscape_is_the_same_whatever_was_drawn_before_it():
    first = draw(0, 3, *SIZE)
    draw(0, 8, *SIZE)
    draw(1, 3, 320, 180)
    assert np.array_equal(draw(0, 3, *SIZE), first)


def test_a_landscape_has_the_size_that_was_asked_for():
    assert draw(0, 0, 300, 170).shape == (170, 300, 3)


@pytest.mark.parametrize("index", range(14))
def test_every_land_and_hour_makes_a_picture_with_contrast_and_detail(index):
    picture = draw(0, index, *SIZE).astype(np.float32) / 255
    assert 0.08 < picture.mean() < 0.92
    assert picture.std() > 0.04
    grey = picture.mean(axis=2)
    assert np.abs(np.diff(grey, axis=1)).mean() > 0.005


def test_seeds_and_indices_give_other_landscapes():
    digests = {
        hashlib.sha256(draw(seed, index, *SIZE).tobytes()).digest()
        for seed in (0, 1)
        for index in range(4)
    }
    assert len(digests) == 8


def test_lands_and_hours_go_round():
    scenes = [choose(0, index) for index in range(49)]
    assert {scene.land for scene in scenes} == set(LANDS)
    assert {scene.hour.name for scene in scenes} == {hour.name for hour in HOURS}
    assert len({(scene.land, scene.hour.name) for scene in scenes}) == 49


def test_noise_has_no_seam():
    for noise in (fractal, ridged):
        field = noise(64, 4, 0.5, np.random.default_rng(0))
        inside = np.abs(np.diff(field, axis=1)).mean()
        seam = np.abs(field[:, 0] - field[:, -1]).mean()
        assert seam < 2.5 * inside


def test_sampling_goes_round_the_field():
    field = fractal(64, 4, 0.5, np.random.default_rng(0))
    across = np.linspace(0, 1, 50, dtype=np.float32)[None, :]
    along = np.full((1, 1), 0.3, np.float32)
    np.testing.assert_allclose(
        sample(field, across, along), sample(field, across - 3.0, along + 2.0), atol=1e-3
    )


def test_sampling_at_the_cells_gives_the_cells():
    field = fractal(64, 4, 0.5, np.random.default_rng(0))
    places = (np.arange(64, dtype=np.float32) / 64)[None, :]
    np.testing.assert_allclose(sample(field, places, places.T), field, atol=1e-6)


@pytest.mark.parametrize("kind", flawed.KINDS)
def test_flawed_pictures_are_made_again_byte_for_byte(kind):
    made = [flawed.draw_flawed(kind, 1, 0, *SIZE, landscapes=5) for _ in range(2)]
    assert made[0] == made[1]


def test_an_exact_duplicate_repeats_the_bytes_of_its_original():
    original = flawed.original_of("exact_duplicate", 1, landscapes=5)
    copy = flawed.draw_flawed("exact_duplicate", 1, 0, *SIZE, landscapes=5)
    assert copy == flawed.draw_good(0, original, *SIZE)


def test_a_near_duplicate_shows_its_original_in_other_bytes():
    original = decode(flawed.draw_good(0, flawed.original_of("near_duplicate", 0, 5), *SIZE))
    copy = decode(flawed.draw_flawed("near_duplicate", 0, 0, *SIZE, landscapes=5))
    first, second = (
        cv2.resize(i, (32, 18), interpolation=cv2.INTER_AREA) for i in (original, copy)
    )
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.98


def test_blurred_and_enlarged_pictures_have_lost_their_finest_detail():
    def finest(content: bytes) -> float:
        image = decode(content).astype(np.float32)
        return float(np.abs(image - cv2.GaussianBlur(image, (0, 0), 1.0)).mean())

    good = finest(flawed.draw_good(0, flawed.FIRST_INDEX, 1024, 576))
    for kind in ("blurred", "enlarged"):
        assert finest(flawed.draw_flawed(kind, 0, 0, 1024, 576, landscapes=1)) < 0.5 * good


def test_a_truncated_picture_does_not_decode_whole():
    content = flawed.draw_flawed("truncated", 0, 0, *SIZE, landscapes=1)
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(content)).load()


def test_names_say_what_must_become_of_a_picture():
    source = BuiltinSource(
        kind="builtin", num_landscapes=3, num_flawed_per_kind=2, width_px=256, height_px=144, seed=0
    )
    names = builtin.file_names(source)
    assert len(names) == len(set(names)) == 3 + 2 * len(flawed.KINDS)
    assert builtin.expected_reasons("landscape-00001.jpg") == frozenset()
    assert builtin.expected_reasons("flawed-blurred-01.jpg") == {"blurry"}
    assert all(builtin.expected_reasons(name) for name in names if name.startswith("flawed-"))
    for name in names:
        original = builtin.original_of(name, 3)
        assert (original is not None) == ("duplicate" in name)
        assert original is None or original in names
