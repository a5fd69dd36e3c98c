import torch

from pdm.models.regions import Region, Span, random_region


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


def test_the_union_of_two_regions_holds_both_and_what_is_between():
    first = Region(Span(2, 4), Span(0, 3), 20, 30)
    second = Region(Span(8, 9), Span(1, 5), 20, 30)
    assert first.union(second) == Region(Span(2, 9), Span(0, 5), 20, 30)
    assert first.union(first) == first
