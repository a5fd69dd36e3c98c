import numpy as np
import pytest

from pdm.evaluation.distances import precision_recall
from pdm.evaluation.distances.extrapolation import infinite_frechet_distance
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.distances.precision_recall import squared_radii


def cloud(seed, count=60, size=4, shift=0.0):
    return np.random.default_rng(seed).standard_normal((count, size)) + shift


def manifold_scores(judged, reference):
    return precision_recall.manifold_scores(judged, reference).values()


# precision, recall, density, coverage


def test_equal_sets_are_within_each_other():
    scores = manifold_scores(cloud(0), cloud(0))
    assert (scores["precision"], scores["recall"], scores["coverage"]) == (1, 1, 1)
    assert scores["density"] == pytest.approx(1.2, abs=1e-9)  # own ball and those of k others, of k


def test_sets_far_apart_share_nothing():
    assert set(manifold_scores(cloud(0), cloud(1, shift=100.0)).values()) == {0}


def test_half_the_modes_give_half_the_recall_and_all_the_precision():
    real = np.concatenate([cloud(0), cloud(1, shift=50.0)])
    scores = manifold_scores(cloud(0), real)
    assert scores["precision"] == 1
    assert scores["recall"] == scores["coverage"] == 0.5


def test_half_nonsense_gives_half_the_precision_and_all_the_recall():
    drawn = np.concatenate([cloud(0), cloud(1, shift=50.0)])
    scores = manifold_scores(drawn, cloud(0))
    assert scores["precision"] == 0.5
    assert scores["recall"] == scores["coverage"] == 1


def test_balls_on_a_line_hold_what_can_be_counted():
    real = np.arange(10.0)[:, None]  # the fifth neighbour is 3 away in the middle, 5 at the ends
    scores = manifold_scores(np.array([[4.5], [40.0], [41.0], [43.0], [46.0], [50.0]]), real)
    assert scores["precision"] == pytest.approx(1 / 6)
    assert scores["density"] == pytest.approx(10 / 6 / 5)  # all ten balls hold 4.5
    assert scores["coverage"] == 1


def test_an_outlier_among_the_samples_fools_recall_but_not_coverage():
    drawn = np.concatenate([cloud(0, 20), np.array([[500.0, 0, 0, 0]] * 3)])
    scores = manifold_scores(drawn, np.concatenate([cloud(0, 20), cloud(1, 20, shift=80.0)]))
    assert scores["recall"] == 1
    assert scores["coverage"] == 0.5


@pytest.mark.parametrize("block", [1, 7, 1024])
def test_blocks_of_any_size_give_the_same(monkeypatch, block):
    first, second = cloud(0, 30), cloud(1, 25, shift=0.5)
    whole = manifold_scores(first, second)
    monkeypatch.setattr("pdm.evaluation.distances.precision_recall.BLOCK", block)
    assert manifold_scores(first, second) == pytest.approx(whole)


def test_radii_are_those_of_brute_force(monkeypatch):
    monkeypatch.setattr("pdm.evaluation.distances.precision_recall.BLOCK", 8)
    vectors = cloud(0, 30) + 1000
    every = ((vectors[:, None] - vectors) ** 2).sum(2)
    np.testing.assert_allclose(squared_radii(vectors, 3), np.sort(every, axis=1)[:, 3], rtol=1e-9)


def test_two_pictures_each_are_enough():
    assert manifold_scores(cloud(0, 2), cloud(0, 2))["coverage"] == 1


# extrapolation


def test_the_extrapolated_distance_has_less_of_the_bias():
    found, plain = [], []
    for seed in range(12):
        first, second = cloud([seed, 0], 300, 16), cloud([seed, 1], 300, 16)
        found.append(infinite_frechet_distance(first, second, 1, seed=0))
        plain.append(frechet_distance(Moments.of(first), Moments.of(second)))
    assert abs(np.mean(found)) < 0.15 * np.mean(plain)  # the truth is zero


def test_the_extrapolated_distance_of_far_sets_is_the_true_one():
    first, second = cloud(0, 800, 4), cloud(1, 800, 4, shift=2.0)
    assert infinite_frechet_distance(first, second, 1, seed=0) == pytest.approx(16, rel=0.05)


def test_crops_of_one_picture_stay_together():
    pictures = np.repeat(cloud(0, 20), 3, axis=0)
    assert infinite_frechet_distance(pictures, pictures, 3, seed=0) != 0
    again = infinite_frechet_distance(pictures, pictures, 3, seed=0)
    assert again == infinite_frechet_distance(pictures, pictures, 3, seed=0)
