import numpy as np
import pytest

from pdm.evaluation.neighbours import (
    Neighbours,
    nearest,
    nearest_or_mirrored,
    share_closer_than_all,
    share_closer_than_median,
)


def neighbours(*distances):
    return Neighbours(np.array(distances), np.zeros(len(distances), dtype=np.int64))


@pytest.mark.parametrize("block", [1, 3, 512])
def test_agrees_with_brute_force_whatever_the_block(monkeypatch, block):
    monkeypatch.setattr("pdm.evaluation.neighbours.BLOCK", block)
    random = np.random.default_rng(0)
    queries, references = random.normal(size=(7, 5)), random.normal(size=(10, 5))
    every = np.sqrt(((queries[:, None] - references) ** 2).mean(2))
    found = nearest(queries, references)
    np.testing.assert_allclose(found.distances, every.min(1), rtol=1e-12)
    np.testing.assert_array_equal(found.indices, every.argmin(1))


def test_a_copy_lies_at_exactly_zero_however_large_the_values():
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
