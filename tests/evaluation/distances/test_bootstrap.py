import dataclasses
import json

import numpy as np
import pytest
from evaluation_folders import CONFIG
from random_vectors import vectors

from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.influence import frechet_influences
from pdm.evaluation.distances.kernel import (
    kernel_distance,
    kernel_sums,
    resampled_kernel_distances,
)
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.distances.precision_recall import manifold_scores
from pdm.evaluation.distances.sliced_wasserstein import (
    resampled_sliced_wasserstein,
    sliced_wasserstein,
)
from pdm.evaluation.memorisation.neighbours import Neighbours


def once_each(count):
    return np.ones((1, count))


# drawing


def test_every_replicate_draws_as_many_pictures_as_there_are():
    counts = bootstrap.resample_counts("val", 7, CONFIG)
    assert counts.shape == (CONFIG.num_replicates, 7)
    assert set(counts.sum(1)) == {7}


def test_two_runs_resample_the_held_out_pictures_alike_and_each_set_by_itself():
    again = dataclasses.replace(CONFIG, num_projections=99)
    val = bootstrap.resample_counts("val", 7, CONFIG)
    np.testing.assert_array_equal(val, bootstrap.resample_counts("val", 7, again))
    assert not np.array_equal(val, bootstrap.resample_counts("samples", 7, CONFIG))
    reseeded = dataclasses.replace(CONFIG, seed=1)
    assert not np.array_equal(val, bootstrap.resample_counts("val", 7, reseeded))


# replicates of each distance, against the distance itself of sets that really repeat pictures


def test_counted_moments_are_those_of_repeated_vectors():
    values, counts = vectors(0, 5), np.array([2.0, 0.0, 1.0, 1.0, 3.0])
    ours = Moments.counted(values, counts)
    expected = Moments.of(values.repeat(counts.astype(int), axis=0))
    assert ours.count == expected.count
    np.testing.assert_allclose(ours.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(ours.covariance, expected.covariance, rtol=1e-12)


def test_resampled_kernel_distance_is_that_of_repeated_vectors(monkeypatch):
    monkeypatch.setattr("pdm.evaluation.distances.kernel.BLOCK", 4)
    first, second = vectors(0, 9), vectors(1, 6, shift=0.5)
    counts = np.array([[2.0, 0, 1, 1, 3, 0, 0, 1, 1]]), np.array([[0.0, 2, 2, 1, 1, 0]])
    repeated = [
        values.repeat(each[0].astype(int), axis=0)
        for values, each in zip((first, second), counts, strict=True)
    ]
    found = resampled_kernel_distances(first, second, *counts)
    assert found[0] == pytest.approx(kernel_distance(*repeated).value, rel=1e-10)


def test_resampled_sliced_wasserstein_is_close_to_that_of_repeated_patches():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(0, 1, (12 * 8, 27)), random.normal(0.3, 2, (10 * 8, 27))
    counts = random.multinomial(12, [1 / 12] * 12), random.multinomial(10, [1 / 10] * 10)
    repeated = [
        patches.reshape(-1, 8, 27).repeat(each, axis=0).reshape(-1, 27)
        for patches, each in zip((ours, theirs), counts, strict=True)
    ]
    drawn = tuple(each[None].astype(float) for each in counts)
    found = resampled_sliced_wasserstein((ours, theirs), drawn, 8, 16, seed=0)[0]
    scale = theirs.std() / repeated[1].std()  # normalised by the set as it is, not as resampled
    assert found == pytest.approx(sliced_wasserstein(*repeated, 16, 0) / scale, rel=0.05)


def test_pictures_without_patches_are_left_out():
    random = np.random.default_rng(0)
    patches = random.normal(size=(4 * 8, 27)), random.normal(size=(4 * 8, 27))
    found, short = (
        resampled_sliced_wasserstein(patches, (once_each(count), once_each(4)), 8, 16, seed=0)
        for count in (9, 4)
    )
    np.testing.assert_allclose(found, short)


def test_repeated_queries_keep_their_distances():
    found = Neighbours(np.array([1.0, 2.0]), np.array([5, 6])).repeat(np.array([0, 2]))
    assert found.distances.tolist() == [2, 2]
    assert found.indices.tolist() == [6, 6]


def test_precision_and_recall_scatter_as_shares_of_their_own_pictures_do():
    """Precision over the samples, recall over the real pictures, while the balls stay."""
    judged, reference = vectors(0, 300, 4, 1.5), vectors(1, 200, 4)
    scores = manifold_scores(judged, reference)
    config = dataclasses.replace(CONFIG, num_replicates=1000)
    for values, count in (
        (scores.of_judged["precision"], 300),
        (scores.of_reference["recall"], 200),
    ):
        share = values.mean()
        assert 0.1 < share < 0.9
        replicates = bootstrap.mean_replicates({"share": values}, config)["share"]
        assert replicates.std() == pytest.approx(np.sqrt(share * (1 - share) / count), rel=0.1)


# replicates to first order, for large sets


def weighted(values, weights):
    """Moments of vectors of these weights, which sum to their number."""
    mean = weights @ values / len(values)
    centred = values - mean
    return Moments(len(values), mean, (weights[:, None] * centred).T @ centred)


@pytest.mark.parametrize(
    ("count", "other_count"), [(40, 60), (9, 60), (60, 9), (9, 7)], ids=lambda count: f"{count}"
)
def test_influences_are_the_derivatives_by_the_weights(count, other_count):
    """Of full rank, and of fewer vectors than there are features."""
    size = 12
    first, second = vectors(0, count, size), 1.3 * vectors(1, other_count, size, 0.2)
    found = frechet_influences(first, Moments.of(first), Moments.of(second))
    assert found.mean() == pytest.approx(0, abs=1e-12)
    step = 1e-4
    for place in range(0, count, 4):
        more, less = (np.full(count, count / (count + move)) for move in (step, -step))
        more[place] *= 1 + step
        less[place] *= 1 - step
        ends = [
            frechet_distance(weighted(first, each), Moments.of(second)) for each in (more, less)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert found[place] / count == pytest.approx(slope, rel=1e-4, abs=1e-6)


def replicates_both_ways(first, second, config):
    """Of the Fréchet and of the kernel distance: resampled, and to first order."""
    counts = [
        bootstrap.resample_counts(name, len(each), config)
        for name, each in (("samples", first), ("val", second))
    ]
    moments = Moments.of(first), Moments.of(second)
    influences = (
        frechet_influences(first, *moments) / len(first),
        frechet_influences(second, *moments[::-1]) / len(second),
    )
    resampled = [
        frechet_distance(Moments.counted(first, ours), Moments.counted(second, theirs))
        for ours, theirs in zip(*counts, strict=True)
    ]
    yield np.array(resampled), counts[0] @ influences[0] + counts[1] @ influences[1]
    influences = kernel_sums(first, second).influences()
    linear = sum(
        each @ influence / len(influence)
        for each, influence in zip(counts, influences, strict=True)
    )
    yield resampled_kernel_distances(first, second, *counts), linear


def test_replicates_to_first_order_are_those_of_resampled_sets_where_sets_are_large():
    config = dataclasses.replace(CONFIG, num_replicates=200)
    first, second = 1.3 * vectors(0, 900, 4, 0.3), vectors(1, 700, 4)
    for resampled, linear in replicates_both_ways(first, second, config):
        assert np.corrcoef(resampled, linear)[0, 1] > 0.98
        assert linear.std() == pytest.approx(resampled.std(), rel=0.05)


def test_intervals_to_first_order_hold_the_scatter_of_equal_sets():
    """Where two sets are of one kind, resampling is too wide, and the first order less so."""
    config = dataclasses.replace(CONFIG, num_replicates=60)
    scores, resampled, linear = [], [], []
    for seed in range(40):
        first, second = vectors([seed, 0], 100, 5), vectors([seed, 1], 100, 5)
        scores.append(frechet_distance(Moments.of(first), Moments.of(second)))
        ways, _ = replicates_both_ways(first, second, config)
        resampled.append(ways[0].std())
        linear.append(ways[1].std())
    truth = np.std(scores)
    assert 0.9 * truth < np.mean(linear) < np.mean(resampled)


def test_large_sets_have_the_same_scores_and_similar_intervals(evaluated, evaluate_with, tmp_path):
    _, scores = evaluated
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "MAX_RESAMPLED_VALUES", 0)
        evaluate_with()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("frechet_random_conv", "frechet_random_conv_crops", "kernel_random_conv_crops"):
        for pair in ("samples_vs_val", "train_vs_val"):
            assert metrics[name][pair] == scores[f"{name}/{pair}"]
            low, high = (metrics["intervals"][name][pair][end] for end in ("low", "high"))
            assert low < metrics[name][pair] < high
    name = "reconstruction/rfrechet_random_conv/levels_3"
    ends = metrics["intervals"]["reconstruction"]["rfrechet_random_conv"]["levels_3"]
    width = scores[f"intervals/{name}/high"] - scores[f"intervals/{name}/low"]
    assert 0.2 * width < ends["high"] - ends["low"] < 5 * width


def test_few_long_vectors_have_the_replicates_that_their_full_covariances_give():
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, (7, 40)), random.normal(0.3, 2, (5, 40))
    counts = random.multinomial(7, [1 / 7] * 7, 3), random.multinomial(5, [1 / 5] * 5, 3)
    found = bootstrap._resampled_frechet((first, second), counts)
    expected = [
        frechet_distance(Moments.counted(first, ours), Moments.counted(second, theirs))
        for ours, theirs in zip(*counts, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
