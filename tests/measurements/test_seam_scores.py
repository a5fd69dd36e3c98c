"""The benchmark's scores of seams and collages tell pictures with them from those without."""

import numpy as np
import pytest

from benchmarks.parts.any_size.seam_scores import likeness, seam_scores
from pdm.evaluation.reference_distance import ReferenceDistance

TILE = (32, 64)


def noise(seed: int, height: int = 128, width: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), np.uint8)


def test_without_seams_the_score_is_one():
    assert seam_scores([noise(seed) for seed in range(20)], TILE).mean() == pytest.approx(
        1, abs=0.02
    )


@pytest.mark.parametrize("is_along_rows", [True, False])
def test_steps_at_the_borders_of_tiles_raise_it(is_along_rows):
    picture = noise(0)
    rows, columns = np.arange(128) // TILE[0], np.arange(256) // TILE[1]
    odd = (rows[:, None] if is_along_rows else columns[None]) % 2 == 1
    picture = np.where(np.broadcast_to(odd, (128, 256))[..., None], picture + 60, picture)
    assert seam_scores([picture], TILE)[0] > 1.2


def test_steps_elsewhere_do_not():
    picture = noise(0)
    picture[16:48] += 60
    assert seam_scores([picture], TILE)[0] < 1


def test_tiles_that_show_the_same_are_a_collage():
    different = [noise(seed) // 4 + np.uint8(40 * (seed % 5)) for seed in range(6)]
    collages = [np.tile(picture[:32, :64], (4, 4, 1)) for picture in different]
    judge = ReferenceDistance()
    assert likeness(collages, TILE, judge).mean() == pytest.approx(1, abs=0.01)
    assert likeness([noise(seed) for seed in range(6)], TILE, judge).mean() < 0.5
