import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.kid import poly_mmd

from pdm.evaluation.distances.frechet import frechet_distance, root_factor
from pdm.evaluation.distances.kernel import kernel_distance
from pdm.evaluation.distances.moments import Moments


def vectors(seed, count=200, size=6, shift=0.0):
    random = np.random.default_rng(seed)
    return random.standard_normal((count, size)) @ random.standard_normal((size, size)) + shift


def by_textbook(first, second):
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance).real
    shift = first.mean - second.mean
    return shift @ shift + np.trace(first.covariance + second.covariance - 2 * root)


# moments


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_moments_merged_in_any_order_equal_those_of_one_pass(order):
    everything = vectors(0, 300) + 1e4
    parts = [everything[:7], everything[7:150], everything[150:]]
    merged = Moments.of(parts[order[0]])
    for index in order[1:]:
        merged = merged.merged(Moments.of(parts[index]))
    assert merged.count == 300
    np.testing.assert_allclose(merged.mean, everything.mean(0), rtol=1e-12)
    np.testing.assert_allclose(merged.covariance, np.cov(everything.T), rtol=1e-9)


def test_a_covariance_of_one_vector_is_refused():
    with pytest.raises(ValueError, match="at least 2 vectors; got 1"):
        _ = Moments.of(vectors(0, 1)).covariance


# Fréchet distance


def test_agrees_with_the_textbook_matrix_square_root():
    first, second = Moments.of(vectors(0)), Moments.of(vectors(1, shift=0.5))
    expected = by_textbook(first, second)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-10)


def test_agrees_with_the_closed_form_for_commuting_covariances():
    deviations = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.1, 0.5])
    first, second = (Moments(11, np.zeros(3), np.diag(each**2) * 10) for each in deviations)
    expected = ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-12)


def test_agrees_with_the_closed_form_when_rank_deficient():
    # Covariances a a^T and b b^T have tr (a a^T b b^T)^(1/2) = |a . b|.
    a, b = vectors(0, 2, size=40)
    first, second = (Moments(2, np.zeros(40), np.outer(each, each)) for each in (a, b))
    expected = a @ a + b @ b - 2 * abs(a @ b)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_agrees_with_singular_values_for_fewer_vectors_than_features():
    few, fewer = vectors(0, 20, size=64), vectors(1, 12, size=64)
    first, second = Moments.of(few), Moments.of(fewer)
    factors = [(each - each.mean(0)) / np.sqrt(len(each) - 1) for each in (few, fewer)]
    nuclear = scipy.linalg.svdvals(factors[0] @ factors[1].T).sum()
    shift = first.mean - second.mean
    traces = np.trace(first.covariance) + np.trace(second.covariance)
    expected = shift @ shift + traces - 2 * nuclear
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)


def random_set(count, size, decay, seed, shift=0.0):
    """Vectors whose variance falls by direction, as that of a network's features does."""
    random = np.random.default_rng(seed)
    turned = random.standard_normal((size, size)) / np.sqrt(size)
    return (random.standard_normal((count, size)) * np.arange(1, size + 1) ** -decay) @ turned + (
        shift
    )


def by_singular_values(first, second):
    """From the vectors themselves: no covariance is formed."""
    factors = [
        np.linalg.qr((each - each.mean(0)) / np.sqrt(len(each) - 1), mode="r")
        for each in (first, second)
    ]
    nuclear = scipy.linalg.svdvals(factors[0] @ factors[1].T).sum()
    shift = first.mean(0) - second.mean(0)
    return shift @ shift + sum((factor**2).sum() for factor in factors) - 2 * nuclear


@pytest.mark.parametrize("decay", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("counts", [(500, 300), (100, 60), (100, 900), (193, 192), (2, 3)])
def test_agrees_with_singular_values_at_any_rank(counts, decay):
    first, second = (
        random_set(count, 192, decay, seed, 0.1 * seed) for seed, count in enumerate(counts)
    )
    found = frechet_distance(Moments.of(first), Moments.of(second))
    assert found == pytest.approx(by_singular_values(first, second), rel=1e-9)


def test_agrees_with_singular_values_beyond_the_rank_up_to_which_they_are_taken(monkeypatch):
    monkeypatch.setattr("pdm.evaluation.distances.frechet.MAX_RANK_FOR_SINGULAR_VALUES", 10)
    first, second = (random_set(count, 192, 0.7, count) for count in (150, 90))
    found = frechet_distance(Moments.of(first), Moments.of(second))
    assert found == pytest.approx(by_singular_values(first, second), rel=1e-9)


@pytest.mark.parametrize("num_dead", [1, 40, 150])
def test_features_that_never_change_add_no_noise(num_dead):
    first, second = (random_set(400, 192, 0.7, seed) for seed in (0, 1))
    first[:, :num_dead] = 0.5
    found = frechet_distance(Moments.of(first), Moments.of(second))
    assert found == pytest.approx(by_singular_values(first, second), rel=1e-8)


@pytest.mark.parametrize("count", [5, 200])
def test_identical_sets_have_no_distance(count):
    moments = Moments.of(vectors(0, count))
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-6)


def test_a_shift_gives_its_squared_length():
    base = vectors(0)
    shift = np.arange(6.0)
    moved = frechet_distance(Moments.of(base), Moments.of(base + shift))
    assert moved == pytest.approx(shift @ shift, rel=1e-9)


def test_sets_without_variance_differ_by_their_means():
    first, second = (Moments.of(np.full((3, 4), value)) for value in (0.0, 2.0))
    assert frechet_distance(first, second) == pytest.approx(16)


def test_a_root_factor_has_only_the_directions_that_vary():
    covariance = Moments.of(vectors(0, 5, size=20)).covariance
    root = root_factor(covariance)
    assert root.shape == (20, 4)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-12 * np.trace(covariance))


# kernel distance


def test_agrees_with_torchmetrics_on_the_same_features():
    first, second = vectors(0, 40), vectors(1, 40, shift=0.3)
    expected = poly_mmd(*(torch.from_numpy(each) for each in (first, second))).item()
    assert kernel_distance(first, second).value == pytest.approx(expected, rel=1e-9)


def test_is_unbiased_at_any_number_of_pictures():
    draws = [
        kernel_distance(vectors(0, 4000)[start : start + 5], vectors(0, 4000)[start + 5 :][:8])
        for start in range(0, 3900, 13)
    ]
    values = np.array([draw.value for draw in draws])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))


@pytest.mark.parametrize(("shift", "largest"), [(1.0, 1.25), (0.0, 2.0)])
def test_the_deviation_is_that_of_repeated_draws_or_larger(shift, largest):
    # A jackknife overstates the spread where the sets hardly differ, and never much understates it.
    draws = [
        kernel_distance(
            np.random.default_rng([0, repeat]).normal(0, 1, (40, 4)),
            np.random.default_rng([1, repeat]).normal(shift, 1, (60, 4)),
        )
        for repeat in range(150)
    ]
    spread = np.std([draw.value for draw in draws])
    assert 0.85 < np.median([draw.deviation for draw in draws]) / spread < largest


def test_sets_larger_than_a_block_count_every_pair_once(monkeypatch):
    first, second = vectors(0, 11), vectors(1, 7)
    whole = kernel_distance(first, second)
    monkeypatch.setattr("pdm.evaluation.distances.kernel.BLOCK", 3)
    blocks = kernel_distance(first, second)
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.deviation == pytest.approx(whole.deviation, rel=1e-12)


def test_two_pictures_have_a_distance_but_no_deviation():
    assert kernel_distance(vectors(0, 2), vectors(1, 2)).deviation is None
