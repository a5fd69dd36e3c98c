"""The search for near hashes, against comparing all pairs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdm.curation.curate.duplicates import hashes as searched
from pdm.curation.curate.duplicates.hashes import near_pairs, parts_to_search


def by_all_pairs(hashes, max_distance):
    one, other = np.triu_indices(len(hashes), 1)
    distance = np.bitwise_count(hashes[one] ^ hashes[other]).sum(axis=1)
    return np.stack([one, other], axis=1)[distance <= max_distance]


def planted(num_hashes, num_words, max_distance, seed):
    """Random hashes, some of them others with up to two bits more than the limit flipped."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, (num_hashes, num_words), dtype=np.uint64)
    num_bits = 64 * num_words
    for row in range(0, num_hashes // 2, 2):
        hashes[row] = hashes[-1 - row // 8]
        num_flipped = random.integers(0, min(max_distance + 2, num_bits))
        for bit in random.permutation(num_bits)[:num_flipped]:
            hashes[row, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return hashes


@pytest.mark.parametrize("num_words", [1, 4])
@pytest.mark.parametrize("max_distance", [0, 1, 3, 8, 24, 40])
@pytest.mark.parametrize("num_hashes", [0, 1, 2, 50, 1000])
def test_it_finds_what_comparing_all_pairs_finds(num_words, max_distance, num_hashes):
    hashes = planted(num_hashes, num_words, max_distance, seed=max_distance)
    assert np.array_equal(near_pairs(hashes, max_distance), by_all_pairs(hashes, max_distance))


@pytest.mark.parametrize("max_distance", [0, 4, 8])
def test_it_finds_them_however_the_bits_are_cut(max_distance, monkeypatch):
    monkeypatch.setattr(searched, "COMPARING", 1e-3)  # pairs are dear: long parts, many of them
    hashes = planted(2000, 1, max_distance, seed=9)
    assert len(parts_to_search(2000, 64, max_distance)) > 1 or max_distance == 0
    assert np.array_equal(near_pairs(hashes, max_distance), by_all_pairs(hashes, max_distance))


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=40),
    st.integers(0, 20),
)
@settings(max_examples=60, deadline=None)
def test_any_hashes_equal_ones_and_empty_ones_among_them(values, max_distance):
    hashes = np.array(values, dtype=np.uint64)[:, None]
    assert np.array_equal(near_pairs(hashes, max_distance), by_all_pairs(hashes, max_distance))


@pytest.mark.parametrize(("num_bits", "max_distance"), [(64, 3), (64, 8), (256, 24)])
def test_any_two_within_the_limit_agree_on_a_part(num_bits, max_distance):
    parts = parts_to_search(1_000_000, num_bits, max_distance)
    covered = [set().union(*(range(*ends) for ends in part.ranges)) for part in parts]
    random = np.random.default_rng(0)
    for _ in range(300):
        differing = set(random.permutation(num_bits)[:max_distance].tolist())
        assert any(not differing & bits for bits in covered)


def test_many_hashes_in_one_group_take_bounded_steps():
    """All agree on every part but differ in more bits than allowed, or are equal in pairs."""
    hashes = np.zeros((4000, 1), dtype=np.uint64)
    hashes[:, 0] = np.arange(4000, dtype=np.uint64) * np.uint64(0x100000001)
    assert len(near_pairs(hashes, 1)) == 0
