import numpy as np
import pytest
import scipy.stats
import torch

from pdm.evaluation.distances.sliced_wasserstein import (
    distances_by_level,
    draw_patches,
    level_name,
    sliced_wasserstein,
)
from pdm.evaluation.features.laplacian import enlarge, halve, laplacian_pyramid


def noisy(count=12, height=64, width=128, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def patches_of(images, seed=0):
    return draw_patches(laplacian_pyramid(images), 0, 40, seed)


# the pyramid


@pytest.mark.parametrize("size", [(64, 128), (33, 70), (15, 15)])
def test_the_levels_give_the_picture_back(size):
    images = noisy(2, *size)
    *finer, restored = laplacian_pyramid(images)
    for level in reversed(finer):
        restored = level + enlarge(restored, level.shape[-2:])
    torch.testing.assert_close(restored, images, atol=1e-5, rtol=0)


def test_levels_halve_down_to_sixteen_pixels():
    names = [level_name(level) for level in laplacian_pyramid(noisy(1))]
    assert names == ["level_64x128", "level_32x64", "level_16x32"]


def test_a_constant_picture_has_no_detail():
    *details, rest = laplacian_pyramid(torch.full((1, 3, 64, 64), 0.3))
    assert all(detail.abs().max() < 1e-6 for detail in details)
    torch.testing.assert_close(rest, torch.full_like(rest, 0.3))


def test_halving_does_not_shift_the_picture():
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    expected = torch.arange(8.0) * 2 + 0.5  # centres of pairs of pixels
    torch.testing.assert_close(halve(ramp)[0, 0, 4, 1:-1], expected[1:-1])


# the distance


def test_equal_sets_have_no_distance():
    found = distances_by_level(patches_of(noisy()), patches_of(noisy()), 32, seed=0)
    assert set(found.values()) == {0.0}


def test_blur_shows_on_the_fine_level_only():
    real, other = noisy(seed=1), noisy(seed=2)
    blurred = enlarge(halve(other), other.shape[2:])
    reference = patches_of(real)
    floor = distances_by_level(patches_of(other), reference, 64, seed=0)
    found = distances_by_level(patches_of(blurred), reference, 64, seed=0)
    fine, *_, coarse = found
    assert found[fine] > 5 * floor[fine]
    assert found[coarse] < 1.3 * floor[coarse] + 0.05


def test_a_tint_shows_on_the_coarsest_level_only():
    images = noisy()
    tinted = images + torch.tensor([0.5, 0.0, 0.0])[:, None, None]
    found = distances_by_level(patches_of(tinted), patches_of(images), 32, seed=0)
    *fine, coarse = found.values()
    assert max(fine) < 1e-5
    assert coarse > 0.1


def test_less_contrast_shows():
    images = noisy()
    found = distances_by_level(patches_of(0.5 * images), patches_of(images), 32, seed=0)
    assert min(found.values()) > 0.2


def test_agrees_with_scipy_in_one_dimension():
    random = np.random.default_rng(0)
    ours, reference = random.normal(0, 1, (50, 1)), random.normal(1, 2, (50, 1))
    found = sliced_wasserstein(ours, reference, num_projections=1, seed=0, num_channels=1)
    expected = scipy.stats.wasserstein_distance(ours[:, 0], reference[:, 0]) / reference.std()
    assert found == pytest.approx(expected, rel=1e-9)


def test_sets_of_unequal_size_are_compared_by_their_ranks():
    reference = np.random.default_rng(0).normal(0, 1, (100, 3))
    doubled = np.repeat(reference, 2, axis=0)
    assert sliced_wasserstein(doubled, reference, 8, seed=0) == pytest.approx(0, abs=1e-12)


def test_patches_follow_from_the_picture_not_from_the_batch():
    images = noisy(4)
    whole = patches_of(images)
    halves = [draw_patches(laplacian_pyramid(images[i : i + 2]), i, 40, 0) for i in (0, 2)]
    for name, patches in whole.items():
        np.testing.assert_allclose(
            np.concatenate([half[name] for half in halves]), patches, atol=1e-6
        )


def test_another_seed_draws_other_patches():
    images = noisy(1)
    assert not np.array_equal(
        patches_of(images, seed=0)["level_64x128"], patches_of(images, seed=1)["level_64x128"]
    )
