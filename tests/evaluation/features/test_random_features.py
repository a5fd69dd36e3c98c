import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Moments
from pdm.evaluation.features import random_conv
from pdm.evaluation.features.laplacian import enlarge, halve
from pdm.evaluation.features.random_conv import RandomConvFeatures


@pytest.fixture(scope="module")
def extractor():
    return RandomConvFeatures(24, seed=3)


def pictures(count=9, height=32, width=48):
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, 3, height // 8, width // 8, generator=generator)
    fine = torch.rand(count, 3, height, width, generator=generator)
    return (enlarge(coarse, fine.shape[2:]) + 0.2 * fine).clamp(0, 1) * 2 - 1


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("size", [(32, 48), (16, 16), (97, 131), (264, 200)])
def test_features_do_not_depend_on_the_batch(extractor, batch_size, size):
    images = pictures(9, *(-(-side // 8) * 8 for side in size))[:, :, : size[0], : size[1]]
    together = extractor(images)
    parts = torch.cat([extractor(part) for part in images.split(batch_size)])
    assert torch.equal(parts, together)
    assert torch.equal(extractor(images.flip(0)).flip(0), together)


@pytest.mark.parametrize("size", [(64, 96), (63, 97), (65, 32)])
def test_strips_see_what_the_whole_picture_shows(extractor, monkeypatch, size):
    images = pictures(1, 72, 104)[:, :, : size[0], : size[1]]
    whole = extractor(images)
    for strip_pixels in (1, 10 * size[1]):
        monkeypatch.setattr(random_conv, "STRIP_PIXELS", strip_pixels)
        torch.testing.assert_close(extractor(images), whole, rtol=0, atol=2e-6)


class LargestTensor(TorchDispatchMode):
    """The number of values of the largest tensor that comes into being."""

    num_values = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple) else (result,):
            if isinstance(each, torch.Tensor):
                self.num_values = max(self.num_values, each.numel())
        return result


def test_no_tensor_is_larger_than_the_filtered_picture_at_half_the_size(extractor):
    images = pictures(3, 512, 1024)
    with LargestTensor() as largest:
        extractor(images)
    assert largest.num_values <= 1.05 * 32 * 256 * 512  # a little for the borders


def test_the_seed_fixes_the_features(extractor):
    images = pictures(2)
    assert torch.equal(extractor(images), RandomConvFeatures(24, seed=3)(images))
    assert not torch.allclose(extractor(images), RandomConvFeatures(24, seed=4)(images))


def test_building_the_network_does_not_touch_the_global_generator():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    RandomConvFeatures(4, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("num_features", [1, 24, 300])
def test_the_number_of_features_is_as_configured(num_features):
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
        lambda images: enlarge(halve(images), images.shape[2:]),  # blur
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
