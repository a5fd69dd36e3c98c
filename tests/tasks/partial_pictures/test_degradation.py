import cv2
import numpy as np
import pytest

from pdm.config.task import SuperResolutionTask
from pdm.tasks.partial_pictures.degradation import back_project, degrade, enlarge
from pdm.tasks.super_resolution import SuperResolution
from pdm.tasks.task import Example


def task(factor: int = 4, degradation: str = "bicubic") -> SuperResolutionTask:
    return SuperResolutionTask(kind="super_resolution", factor=factor, degradation=degradation)


@pytest.fixture
def picture():
    rough = np.random.default_rng(0).integers(0, 256, (3, 6, 3), np.uint8)
    return cv2.resize(rough, (64, 32), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("degradation", ["bicubic", "bsr_light"])
def test_a_small_picture_has_the_exact_size_and_the_same_content(factor, degradation, picture):
    small = degrade(picture, task(factor, degradation), np.random.default_rng(1))
    assert small.shape == (32 // factor, 64 // factor, 3)
    assert np.abs(small.mean((0, 1)) - picture.mean((0, 1))).max() < 4
    back = enlarge(small, 32, 64).astype(float)
    assert np.corrcoef(back.ravel(), picture.ravel())[0, 1] > 0.8


def test_blind_degradation_follows_from_seed_picture_and_epoch(picture):
    blind = SuperResolution(task(degradation="bsr_light"))
    first = blind.reduce(Example("a", pixels=picture))
    assert (blind.reduce(Example("a", pixels=picture)) == first).all()
    assert (blind.reduce(Example("a", epoch=1, pixels=picture)) != first).any()
    assert (blind.reduce(Example("b", pixels=picture)) != first).any()


def test_a_corrected_picture_is_reduced_to_the_small_one(picture):
    small = cv2.resize(picture, (16, 8), interpolation=cv2.INTER_AREA)
    wrong = (picture * 0.7 + 20).astype(np.uint8)
    means = cv2.resize(back_project(wrong, small), (16, 8), interpolation=cv2.INTER_AREA)
    assert np.abs(means.astype(int) - small).mean() < 3
    assert np.abs(means.astype(float).mean((0, 1)) - small.mean((0, 1))).max() < 0.5
