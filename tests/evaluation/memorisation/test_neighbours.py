import numpy as np
import pytest

from pdm.evaluation.memorisation.neighbours import (
    Neighbours,
    nearest,
    nearest_or_mirrored,
    share_closer_than_all,
    share_closer_than_median,
)


def neighbours(*distances):
    return Neighbours(np.array(distances), np.zeros(len(distances), dtype=np.int64))


def by_differences(queries, references):
    """Distances and numbers of the nearest, one reference after the other."""
    queries, references = queries.astype(np.float64), references.astype(np.float64)
    squares = np.stack([((queries - each) ** 2).mean(1) for each in references], axis=1)
    return np.sqrt(squares.min(1)), squares.argmin(1)


def with_near_and_equal_ones(count, size, shift=0.0, scale=1.0):
    """Vectors in clusters, some equal, some apart by a single rounding, some far away."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(5, size))
    vectors = centres[random.integers(5, size=count)] + 0.1 * random.normal(size=(count, size))
    vectors[1::4] = vectors[0]
    vectors[2::8] = vectors[0] * (1 + 1e-15)
    vectors[3] *= 1e4
    return scale * vectors + shift


@pytest.mark.parametrize("block", [1, 3, 512])
@pytest.mark.parametrize("size", [1, 5, 300])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_neighbours_equal_those_by_differences_bit_for_bit_for_any_block(
    monkeypatch, block, size, dtype
):
    monkeypatch.setattr("pdm.evaluation.memorisation.neighbours.BLOCK", block)
    vectors = with_near_and_equal_ones(60, size).astype(dtype)
    queries, references = vectors[::-3], vectors
    found = nearest(queries, references)
    distances, indices = by_differences(queries, references)
    np.testing.assert_array_equal(found.distances, distances)
    np.testing.assert_array_equal(found.indices, indices)


@pytest.mark.parametrize(("shift", "scale"), [(1e6, 1.0), (-3.0, 1e-7), (1e8, 1e-6), (0.0, 1e6)])
def test_small_distances_of_large_values_are_not_lost(shift, scale):
    references = with_near_and_equal_ones(40, 30, shift, scale)
    queries = references[::-1] + scale * 1e-3
    found = nearest(queries, references)
    distances, indices = by_differences(queries, references)
    np.testing.assert_array_equal(found.distances, distances)
    np.testing.assert_array_equal(found.indices, indices)


def test_many_equal_references_are_the_first_of_them():
    references = np.ones((3000, 4))
    assert nearest(np.zeros((2, 4)), references).indices.tolist() == [0, 0]


def test_the_distance_of_a_copy_is_exactly_zero_for_values_of_any_size():
    references = np.random.default_rng(0).normal(1e6, 1, (4, 3))
    found = nearest(references[[2]], references)
    assert found.distances.tolist() == [0]
    assert found.indices.tolist() == [2]


def test_bytes_do_not_wrap_around():
    found = nearest(np.array([[0]], dtype=np.uint8), np.array([[255]], dtype=np.uint8))
    assert found.distances.tolist() == [255]


def test_a_mirrored_copy_is_found():
    references = np.arange(12.0).reshape(3, 4)
    found = nearest_or_mirrored(references[[1], ::-1], references, references[:, ::-1])
    assert found.distances.tolist() == [0]
    assert found.indices.tolist() == [1]


def test_copies_are_closer_than_every_held_out_picture():
    held_out = neighbours(0.5, 1.0, 2.0)
    assert share_closer_than_all(neighbours(0.0, 0.1, 0.5, 3.0), held_out) == 0.5
    assert share_closer_than_median(neighbours(0.0, 0.1, 0.5, 3.0), held_out) == 0.75


def test_new_pictures_give_the_shares_that_are_expected_of_them():
    random = np.random.default_rng(0)
    shares = [
        (share_closer_than_all(*both), share_closer_than_median(*both))
        for both in (
            (neighbours(*random.random(20)), neighbours(*random.random(9))) for _ in range(2000)
        )
    ]
    assert np.mean(shares, axis=0) == pytest.approx([1 / 10, 0.5], abs=0.01)
