import torch

from pdm.models.regions import random_region


def test_random_regions_lie_within_the_map_and_vary():
    generator, places = torch.Generator().manual_seed(0), set()
    for _ in range(50):
        region = random_region((64, 20), 32, generator)
        assert region.of(torch.zeros(1, 1, 64, 20)).shape[2:] == (32, 20)
        places.add(region.rows.start)
    assert len(places) > 10
    assert max(places) <= 32


def test_a_small_map_is_taken_whole():
    assert random_region((32, 20), 32, torch.Generator()) is None
