import operator
from fractions import Fraction

import numpy as np
import pytest

from pdm.errors import QualityGate
from pdm.evaluation.distances.exact_moments import CHUNK, MAX_COUNT, UNIT, ExactMoments, moments_of
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.distances.wide_integers import WideIntegers


def vectors(count=300, size=7, shift=0.0, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((count, size)) @ random.standard_normal((size, size))
    return (scale * mixed + shift).astype(np.float32)


def moments_after(*parts):
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
    ours, expected = moments_after(values).moments(), Moments.of(rounded)
    np.testing.assert_allclose(ours.mean, expected.mean, rtol=1e-14)
    largest = expected.covariance.diagonal().max()
    np.testing.assert_allclose(ours.covariance, expected.covariance, rtol=0, atol=1e-10 * largest)


def test_rounding_is_small_compared_with_the_deviation_of_features():
    values = vectors(scale=0.3)
    ours, exact = moments_after(values).moments(), Moments.of(values)
    assert np.abs(ours.covariance - exact.covariance).max() < 1e-6 * exact.covariance.max()
    np.testing.assert_allclose(ours.mean, exact.mean, atol=UNIT)


@pytest.mark.parametrize("scale", [1.0, 10.0], ids=["ordinary", "split in halves"])
def test_batches_of_any_size_in_any_order_give_the_same_bits(scale):
    values = vectors(CHUNK + 300, scale=scale)
    whole = moments_after(values)
    order = np.random.default_rng(1).permutation(len(values))
    for size in (1, 7, 500):
        pieces = [values[order[start : start + size]] for start in range(0, len(values), size)]
        assert same_bits(moments_after(*pieces), whole)


@pytest.mark.parametrize("num_workers", [2, 3, 5])
def test_workers_merged_in_any_order_give_the_same_bits(num_workers):
    values = vectors(900)
    whole = moments_after(values)
    shares = [values[rank::num_workers] for rank in range(num_workers)]
    for order in (range(num_workers), reversed(range(num_workers))):
        merged = ExactMoments(values.shape[1])
        for rank in order:
            merged.merge(moments_after(shares[rank]))
        assert same_bits(merged, whole)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_stored_sums_give_the_same_bits_and_go_on(scale):
    values = vectors(scale=scale)
    again = ExactMoments.of_arrays(moments_after(values[:100]).arrays())
    assert same_bits(again, moments_after(values[:100]))
    again.add(values[100:])
    assert same_bits(again, moments_after(values))


def test_looking_at_them_in_between_changes_nothing():
    values = vectors()
    looked_at = moments_after(values[:100])
    looked_at.moments()
    looked_at.add(values[100:])
    assert same_bits(looked_at, moments_after(values))


def test_outliers_among_small_values_are_not_lost():
    values = vectors(50)
    values[3, 2] = 1_500.0
    expected = Moments.of(np.rint(values.astype(np.float64) / UNIT) * UNIT).covariance
    np.testing.assert_allclose(
        moments_after(values).moments().covariance, expected, rtol=1e-12, atol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_values_that_cannot_be_summed_are_refused(bad):
    values = vectors(5)
    values[1, 1] = bad
    moments = moments_after(vectors())
    with pytest.raises(ValueError, match="finite and below"):
        moments.add(values)
    assert same_bits(moments, moments_after(vectors()))


# as large as they come, against Python's integers, which never overflow


def moments_by_python(values, times=1):
    """Mean and scatter of the rounded vectors, each met `times` times."""
    whole = [[round(float(value) / UNIT) for value in row] for row in values]
    count, columns = times * len(whole), list(zip(*whole, strict=True))
    totals = [times * sum(column) for column in columns]
    scatter = [
        [
            float(
                Fraction(times * sum(map(operator.mul, one, other))) - Fraction(t * other_t, count)
            )
            for other, other_t in zip(columns, totals, strict=True)
        ]
        for one, t in zip(columns, totals, strict=True)
    ]
    mean = [float(Fraction(total, count)) for total in totals]
    return Moments(count, np.array(mean) * UNIT, np.array(scatter) * UNIT**2)


def assert_equal_but_for_the_last_rounding(ours, expected):
    assert ours.count == expected.count
    np.testing.assert_allclose(ours.mean, expected.mean, rtol=1e-15)
    largest = np.abs(expected.scatter).max()
    np.testing.assert_allclose(ours.scatter, expected.scatter, rtol=1e-14, atol=1e-15 * largest)


def repeated(moments, doublings):
    """What gives the vectors 2^doublings times."""
    for _ in range(doublings):
        moments.merge(ExactMoments.of_arrays(moments.arrays()))
    return moments


@pytest.mark.parametrize(
    ("shift", "scale"),
    [(0.0, 1.0), (0.0, 100.0), (5e4, 100.0), (-3e7, 1e5), (0.0, 3e6), (1e7, 1e-4)],
)
def test_no_variance_is_too_large(shift, scale):
    values = vectors(60, 4, shift, scale).clip(-3.3e7, 3.3e7)
    assert_equal_but_for_the_last_rounding(
        moments_after(values).moments(), moments_by_python(values)
    )


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (2.0, 100.0), (-3e7, 1e5)])
def test_no_number_of_vectors_is_too_large(shift, scale):
    values = vectors(2**6, 3, shift, scale).clip(-3.3e7, 3.3e7)
    for doublings in (10, 17, 25):  # up to 2 billion vectors
        ours = repeated(moments_after(values), doublings).moments()
        assert_equal_but_for_the_last_rounding(ours, moments_by_python(values, 2**doublings))


def test_two_thousand_features_of_a_standard_deviation_of_a_hundred():
    random = np.random.default_rng(0)
    values = (100 * random.standard_normal((2048, 48))).astype(np.float32)
    stored = ExactMoments.of_arrays(moments_after(values).arrays())
    for ours in (moments_after(values), stored, repeated(stored, 12)):
        deviations = np.sqrt(ours.moments().covariance.diagonal())
        np.testing.assert_allclose(deviations, values.std(0), rtol=1e-3)


def test_the_largest_values_are_summed_exactly():
    values = np.full((3 * CHUNK, 2), 3.3e7)
    values[1, 0] += 1
    values[2::2, 1] *= -1
    assert_equal_but_for_the_last_rounding(
        moments_after(values).moments(), moments_by_python(values)
    )


def test_more_vectors_than_can_be_summed_exactly_are_refused():
    moments = repeated(moments_after(vectors(2)), 31)
    assert moments.count == MAX_COUNT
    before = moments.moments()
    with pytest.raises(ValueError, match="more than 4,294,967,296 vectors"):
        moments.add(vectors(1))
    with pytest.raises(ValueError, match="more than 4,294,967,296 vectors"):
        moments.merge(moments_after(vectors(1)))
    np.testing.assert_array_equal(moments.moments().scatter, before.scatter)


def test_the_stage_stops_with_the_reason():
    with pytest.raises(QualityGate, match="cannot be computed: features must be finite and below"):
        moments_of(vectors(scale=1e8).astype(np.float64))


# the integers themselves


def test_wide_integers_equal_pythons_integers_in_any_order():
    random = np.random.default_rng(0)
    terms = [
        (random.integers(-(2**bits), 2**bits, 5), shift)
        for bits in (3, 53, 56)
        for shift in (0, 24, 48, 60, 63)
        for _ in range(20)
    ]
    expected = [sum(int(values[at]) << shift for values, shift in terms) for at in range(5)]
    words = []
    for order in (range(len(terms)), random.permutation(len(terms))):
        halves = WideIntegers(5), WideIntegers(5)
        for place in order:
            halves[place % 2].add(*terms[place])
        halves[0].merge(halves[1])
        assert halves[0].as_ints() == expected
        np.testing.assert_allclose(halves[0].as_float(), [float(e) for e in expected], rtol=5e-16)
        words.append(halves[0].words())
    np.testing.assert_array_equal(*words)


def test_small_negative_numbers_are_exact_as_floats():
    numbers = WideIntegers(2)
    numbers.add(np.array([-5, 2**56]))
    numbers.add(np.array([0, -(2**56) - 7]))
    assert numbers.as_float().tolist() == [-5, -7]
