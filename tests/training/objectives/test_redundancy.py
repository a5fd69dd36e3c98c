"""The share of a level's variance that a linear map from the coarser levels explains."""

import pytest
import torch
from torch.nn import functional as F

from pdm.models.levels.orthogonal import remove_coarse_content
from pdm.training.latent_space.redundancy import redundancies

SIZES = [(8, 1, 1), (4, 2, 4), (3, 8, 16)]


def independent(seed, count=400):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *size, generator=generator) for size in SIZES)


def mixed(seed, share):
    """Pyramids whose finest level has this share of its variance from the second one."""
    first, second, own = independent(seed)
    coarse = F.interpolate(second[:, :3], size=own.shape[2:], mode="nearest")
    return first, second, share**0.5 * coarse + (1 - share) ** 0.5 * own


def test_independent_levels_are_not_redundant():
    found = redundancies([independent(0)], [independent(1)])
    assert found[0] == 0
    assert all(value < 0.02 for value in found)


@pytest.mark.parametrize("share", [0.25, 0.9, 1.0])
def test_it_is_the_share_of_variance_that_comes_from_the_coarser_level(share):
    found = redundancies([mixed(0, share)], [mixed(1, share)])
    assert found[2] == pytest.approx(share, abs=0.03)


def test_batches_of_any_size_give_the_same():
    whole, other = mixed(0, 0.5), mixed(1, 0.5)
    parts = [tuple(level[start : start + 150] for level in whole) for start in (0, 150, 300)]
    assert redundancies(parts, [other]) == pytest.approx(redundancies([whole], [other]))


def test_the_projection_removes_what_the_coarser_level_repeats():
    pairs = [[remove_coarse_content(mixed(seed, 0.9))] for seed in (0, 1)]
    assert redundancies(*pairs)[2] < 0.05


def test_a_level_without_variance_is_not_redundant():
    first, second, third = independent(0)
    constant = (first, second, torch.zeros_like(third))
    assert redundancies([constant], [constant])[2] == 0


def test_no_pictures_are_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        redundancies([], [independent(0)])
