import numpy as np
import pytest

from pdm.errors import QualityGate
from pdm.evaluation.distances.by_name import moments_of
from pdm.evaluation.distances.exact_moments import CHUNK, UNIT, ExactMoments
from pdm.evaluation.distances.moments import Moments


def vectors(count=300, size=7, shift=0.0, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((count, size)) @ random.standard_normal((size, size))
    return (scale * mixed + shift).astype(np.float32)


def seen(*parts):
    moments = ExactMoments(parts[0].shape[1])
    for part in parts:
        moments.add(part)
    return moments


def same_bits(first, second):
    ours, theirs = first.moments(), second.moments()
    return (
        ours.count == theirs.count
        and ours.mean.tobytes() == theirs.mean.tobytes()
        and ours.scatter.tobytes() == theirs.scatter.tobytes()
    )


@pytest.mark.parametrize(
    ("shift", "scale"),
    [(0.0, 1.0), (0.3, 0.01), (100.0, 0.5), (0.0, 12.0), (-1e6, 1.0)],
    ids=["ordinary", "small", "far", "large", "very far"],
)
def test_are_the_moments_of_the_rounded_vectors(shift, scale):
    values = vectors(shift=shift, scale=scale)
    rounded = np.rint(values.astype(np.float64) / UNIT) * UNIT
    ours, expected = seen(values).moments(), Moments.of(rounded)
    np.testing.assert_allclose(ours.mean, expected.mean, rtol=1e-14)
    largest = expected.covariance.diagonal().max()
    np.testing.assert_allclose(ours.covariance, expected.covariance, rtol=0, atol=1e-10 * largest)


def test_rounding_is_small_beside_the_spread_of_features():
    values = vectors(scale=0.3)
    ours, exact = seen(values).moments(), Moments.of(values)
    assert np.abs(ours.covariance - exact.covariance).max() < 1e-6 * exact.covariance.max()
    np.testing.assert_allclose(ours.mean, exact.mean, atol=UNIT)


@pytest.mark.parametrize("scale", [1.0, 10.0], ids=["ordinary", "split in halves"])
def test_batches_of_any_size_in_any_order_give_the_same_bits(scale):
    values = vectors(CHUNK + 300, scale=scale)
    whole = seen(values)
    order = np.random.default_rng(1).permutation(len(values))
    for size in (1, 7, 500):
        pieces = [values[order[start : start + size]] for start in range(0, len(values), size)]
        assert same_bits(seen(*pieces), whole)


@pytest.mark.parametrize("num_workers", [2, 3, 5])
def test_workers_merged_in_any_order_give_the_same_bits(num_workers):
    values = vectors(900)
    whole = seen(values)
    shares = [values[rank::num_workers] for rank in range(num_workers)]
    for order in (range(num_workers), reversed(range(num_workers))):
        merged = ExactMoments(values.shape[1])
        for rank in order:
            merged.merge(seen(shares[rank]))
        assert same_bits(merged, whole)


def test_stored_sums_give_the_same_bits():
    whole = seen(vectors())
    again = ExactMoments.of_sums(whole.count, *whole.sums())
    assert same_bits(again, whole)


def test_looking_at_them_in_between_changes_nothing():
    values = vectors()
    looked_at = seen(values[:100])
    looked_at.moments()
    looked_at.add(values[100:])
    assert same_bits(looked_at, seen(values))


def test_outliers_among_small_values_are_not_lost():
    values = vectors(50)
    values[3, 2] = 1_500.0
    expected = Moments.of(np.rint(values.astype(np.float64) / UNIT) * UNIT).covariance
    np.testing.assert_allclose(seen(values).moments().covariance, expected, rtol=1e-12, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_values_that_cannot_be_summed_are_refused(bad):
    values = vectors(5)
    values[1, 1] = bad
    moments = seen(vectors())
    with pytest.raises(ValueError, match="finite and below"):
        moments.add(values)
    assert same_bits(moments, seen(vectors()))


def test_a_spread_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="too large for the moments of 300 pictures; scale"):
        seen(vectors(scale=1e4)).moments()


def test_the_stage_stops_with_the_reason():
    with pytest.raises(QualityGate, match="cannot be taken: a feature has a standard deviation"):
        moments_of(vectors(scale=1e4).astype(np.float64))
