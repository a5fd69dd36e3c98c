import hashlib
import io
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from PIL import Image

from pdm.config.stages.scrape import BuiltinSource
from pdm.curation.scrape.drawing.grid.fields import Sampler, falloff, sine
from pdm.curation.scrape.drawing.grid.noise import fractal, ridged
from pdm.curation.scrape.drawing.land import lands
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.curation.scrape.drawing.scene import HOURS, LANDS, choose
from pdm.curation.scrape.sources import builtin, flawed

SIZE = (256, 144)
SOURCE = BuiltinSource(
    kind="builtin", num_landscapes=3, num_flawed_per_kind=1, width_px=128, height_px=72, seed=0
)
PRINT_DIGESTS = f"""
import hashlib
from pdm.curation.scrape.sources.flawed import draw_good
for index in range({len(LANDS)}):
    print(hashlib.sha256(draw_good(0, index, 320, 180)).hexdigest())
"""


def _has(feature: str) -> bool:
    return bool(__cpu_features__.get(feature))


def decode(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def test_a_landscape_does_not_depend_on_earlier_ones():
    first = draw(0, 3, *SIZE)
    draw(0, 8, *SIZE)
    draw(1, 3, 320, 180)
    assert np.array_equal(draw(0, 3, *SIZE), first)


def test_a_landscape_has_the_requested_size():
    assert draw(0, 0, 300, 170).shape == (170, 300, 3)


def test_no_processor_changes_a_picture():
    """Draws with the plain code that numpy, OpenCV and the JPEG encoder have for old processors."""
    plain = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in __cpu_dispatch__ if _has(name)),
        "OPENCV_CPU_DISABLE": "AVX2,AVX,FMA3,FP16",
        "OPENCV_IPP": "disabled",
        "JSIMD_FORCENONE": "1",
    }
    digests = []
    for extra in ({}, plain):
        command = [sys.executable, "-c", PRINT_DIGESTS]
        run = subprocess.run(command, env=os.environ | extra, capture_output=True, check=True)
        digests.append(run.stdout)
    assert len(set(digests[0].split())) == len(LANDS)
    assert digests[0] == digests[1]


def test_any_number_of_processes_and_threads_draws_the_same_bytes(tmp_path):
    contents = []
    for num_processes in (1, 3):
        folder = tmp_path / str(num_processes)
        folder.mkdir()
        with builtin.drawing_processes(num_processes) as processes:
            for drawing in builtin.draw_all(SOURCE, folder, processes).values():
                drawing.result()
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == set(builtin.file_names(SOURCE))
    threads = cv2.getNumThreads()
    try:
        for count in (1, 4):
            cv2.setNumThreads(count)
            good = flawed.draw_good(0, 1, SOURCE.width_px, SOURCE.height_px)
            assert good == contents[0]["landscape-00001.jpg"]
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("index", range(len(LANDS)))
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
    first = [choose(0, index) for index in range(len(LANDS))]
    assert {scene.land for scene in first} == set(LANDS) == set(lands.LANDS)
    count = len(LANDS) * len(HOURS)
    scenes = [choose(0, index) for index in range(count)]
    assert len({(scene.land, scene.hour.name) for scene in scenes}) == count


def test_captions_tell_land_time_season_and_weather():
    assert choose(0, 0).caption == "mountains at dawn in autumn, under clouds"
    captions = [choose(0, index).caption for index in range(500)]
    assert len(set(captions)) > 300
    for words in ("in the morning", "at night", ", rain", ", falling snow", ", under a clear sky"):
        assert any(words in caption for caption in captions)
    assert not any("dunes" in caption and "in winter" in caption for caption in captions)


def test_lands_look_different():
    """Small copies of each land are nearer to each other than to other lands', more often than by
    chance, whatever the hour and the weather."""
    count = 8 * len(LANDS)
    small = []
    for index in range(count):
        grey = draw(0, index, *SIZE).astype(np.float32).mean(axis=2)
        view = cv2.resize(grey, (16, 9), interpolation=cv2.INTER_AREA)
        small.append((view - view.mean()).ravel() / view.std())
    likeness = np.array(small) @ np.array(small).T
    np.fill_diagonal(likeness, -np.inf)
    same = [index % len(LANDS) == likeness[index].argmax() % len(LANDS) for index in range(count)]
    assert np.mean(same) > 2 / len(LANDS)


def test_noise_has_no_seam():
    for noise in (fractal, ridged):
        field = noise(64, 4, 0.5, np.random.default_rng(0))
        inside = np.abs(np.diff(field, axis=1)).mean()
        seam = np.abs(field[:, 0] - field[:, -1]).mean()
        assert seam < 2.5 * inside


def test_noise_has_mean_0_and_standard_deviation_1():
    for roughness in (0.4, 0.6, 0.9):
        fields = [fractal(128, 8, roughness, np.random.default_rng(seed)) for seed in range(20)]
        assert abs(np.mean(fields)) < 0.05
        assert 0.9 < np.std(fields) < 1.1


def test_sampling_wraps_around_the_field():
    field = fractal(64, 4, 0.5, np.random.default_rng(0))
    across = np.linspace(0, 64, 50, dtype=np.float32)[None, :]
    along = np.full((1, 1), 19.2, np.float32)
    near, far = Sampler(64, across, along), Sampler(64, across - 192, along + 128)
    np.testing.assert_allclose(near.read(field), far.read(field), atol=1e-3)


def test_sampling_at_the_cells_gives_the_cells_and_between_them_the_mean():
    field = fractal(64, 4, 0.5, np.random.default_rng(0))
    places = np.arange(64, dtype=np.float32)[None, :]
    np.testing.assert_array_equal(Sampler(64, places, places.T).read(field), field)
    between = Sampler(64, places + np.float32(0.5), places.T).read(field)
    np.testing.assert_allclose(between, (field + np.roll(field, -1, 1)) / 2, atol=1e-6)


def test_sine_and_falloff_are_near_the_exact_functions():
    turns = np.linspace(-3, 3, 1000, dtype=np.float32)
    np.testing.assert_allclose(sine(turns), np.sin(2 * np.pi * turns), atol=2e-3)
    distance = np.linspace(0, 200, 1000, dtype=np.float32)
    np.testing.assert_allclose(falloff(distance), np.exp(-distance), atol=0.005)


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


def test_a_truncated_picture_cannot_be_decoded():
    content = flawed.draw_flawed("truncated", 0, 0, *SIZE, landscapes=1)
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(content)).load()


def test_a_class_is_the_land_and_a_copy_has_that_of_its_original():
    scenes = {name: builtin.scene_of(SOURCE, name) for name in builtin.file_names(SOURCE)}
    assert scenes["landscape-00001.jpg"] == choose(0, 1)
    for name, scene in scenes.items():
        original = builtin.original_of(name, SOURCE.num_landscapes)
        assert original is None or scene == scenes[original]
        assert (scene is None) == (name.startswith("flawed") and original is None)


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
