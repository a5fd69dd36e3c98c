import random

import pytest

from pdm.curation.curate.duplicates import Candidate, HashIndex, find_duplicates


def candidate(key, phash=0, sha256="", num_pixels=100, sharpness=0.5):
    return Candidate(key, sha256 or key, phash, num_pixels, sharpness)


def flipped(phash, bits, seed=0):
    for bit in random.Random(seed).sample(range(256), bits):
        phash ^= 1 << bit
    return phash


@pytest.mark.parametrize(("bits", "found"), [(0, True), (1, True), (24, True), (25, False)])
def test_the_limit_is_inclusive(bits, found):
    base = random.Random(1).getrandbits(256)
    pair = [candidate("a", base), candidate("b", flipped(base, bits))]
    assert bool(find_duplicates(pair, 24)) == found


@pytest.mark.parametrize("limit", [0, 1, 7, 24, 60])
def test_the_index_finds_what_comparing_all_pairs_finds(limit):
    randomness = random.Random(limit)
    bases = [randomness.getrandbits(256) for _ in range(10)]
    hashes = {
        f"{number:03}": flipped(bases[number % 10], randomness.randint(0, limit + 4), number)
        for number in range(150)
    }
    index = HashIndex(limit)
    for key, phash in hashes.items():
        index.add(key, phash)
    for seed in range(40):
        query = flipped(bases[seed % 10], randomness.randint(0, limit + 4), 1000 + seed)
        distances = [((query ^ phash).bit_count(), key) for key, phash in hashes.items()]
        distance, key = min(distances)
        expected = (key, distance) if distance <= limit else None
        assert index.nearest(query) == expected


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"num_pixels": 200, "sharpness": 0.1}, {"num_pixels": 100, "sharpness": 0.9}),
        ({"sharpness": 0.6}, {"sharpness": 0.5}),
        ({"key": "a"}, {"key": "b"}),
    ],
)
def test_the_best_of_a_group_is_kept(better, worse):
    kept, dropped = candidate(**{"key": "k1"} | better), candidate(**{"key": "k0"} | worse)
    for order in ([kept, dropped], [dropped, kept]):
        found = find_duplicates(order, 24)
        assert list(found) == [dropped.key]
        assert found[dropped.key][0] == kept.key


def test_the_order_of_arrival_does_not_matter():
    randomness = random.Random(0)
    bases = [randomness.getrandbits(256) for _ in range(8)]
    candidates = [
        candidate(
            f"{number:03}",
            flipped(bases[number % 8], randomness.randint(0, 20), number),
            num_pixels=randomness.choice([100, 200]),
        )
        for number in range(60)
    ]
    expected = find_duplicates(candidates, 24)
    for _ in range(5):
        randomness.shuffle(candidates)
        assert find_duplicates(candidates, 24) == expected


def test_every_duplicate_is_like_its_keeper_and_the_keeper_is_kept():
    base = random.Random(3).getrandbits(256)
    chain = [base, base ^ ((1 << 20) - 1), base ^ ((1 << 40) - 1)]  # each 20 bits from the next
    candidates = [candidate(f"{n}", phash, num_pixels=9 - n) for n, phash in enumerate(chain)]
    found = find_duplicates(candidates, 24)
    assert {key: keeper for key, (keeper, _) in found.items()} == {"1": "0"}


def test_equal_files_are_exact_duplicates():
    found = find_duplicates([candidate("a", sha256="s"), candidate("b", sha256="s")], 24)
    assert found["b"][1].reason == "exact_duplicate"
