import numpy as np
import pytest
import torch

from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.features.laplacian import enlarged, halved
from pdm.evaluation.features.random_conv import RandomConvFeatures


@pytest.fixture(scope="module")
def extractor():
    return RandomConvFeatures(24, seed=3)


def pictures(count=9, height=32, width=48):
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=generator)
    fine = torch.rand(count, 3, height, width, generator=generator)
    return (enlarged(coarse, fine.shape[2:]) + 0.2 * fine).clamp(0, 1) * 2 - 1


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_features_do_not_depend_on_the_batch_size(extractor, batch_size):
    images = pictures()
    parts = torch.cat([extractor(part) for part in images.split(batch_size)])
    torch.testing.assert_close(parts, extractor(images), rtol=0, atol=1e-6)


def test_the_seed_fixes_the_features(extractor):
    images = pictures(2)
    assert torch.equal(extractor(images), RandomConvFeatures(24, seed=3)(images))
    assert not torch.allclose(extractor(images), RandomConvFeatures(24, seed=4)(images))


def test_building_the_network_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    RandomConvFeatures(4, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("num_features", [1, 24, 300])
def test_the_asked_number_of_features_comes_out(num_features):
    features = RandomConvFeatures(num_features, seed=0)(pictures(2, 9, 17))
    assert features.shape == (2, num_features)
    assert features.isfinite().all()


def test_a_flat_picture_has_finite_features(extractor):
    assert extractor(torch.zeros(1, 3, 16, 16)).isfinite().all()


def test_nothing_in_it_can_be_trained(extractor):
    assert not list(extractor.parameters())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: enlarged(halved(images), images.shape[2:]),  # blur
        lambda images: images + 0.2 * torch.randn_like(images),
        lambda images: images - 0.5,  # darker
        lambda images: 0.5 * images,  # less contrast
    ],
)
def test_spoilt_pictures_lie_further_away_than_real_ones(extractor, spoil):
    torch.manual_seed(0)
    first, second = (Moments.of(extractor(half).numpy()) for half in pictures(64).split(32))
    spoilt = Moments.of(extractor(spoil(pictures(64))[32:]).numpy())
    assert frechet_distance(spoilt, first) > 1.2 * frechet_distance(second, first)


def test_features_are_float64(extractor):
    assert extractor(pictures(1)).numpy().dtype == np.float64
