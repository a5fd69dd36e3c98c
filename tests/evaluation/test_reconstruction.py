import numpy as np
import pytest
import skimage.metrics
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics.functional.image.ssim import _ssim_update

from pdm.errors import BadInput, QualityGate
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.reconstruction import (
    MAX_PSNR_DB,
    decode_prefixes,
    measure_reconstructions,
    ms_ssim,
    ms_ssim_weights,
    psnr,
    ssim,
    ssim_and_ms_ssim,
)
from pdm.models.autoencoder import PyramidAutoencoder


def pair(seed=0, height=24, width=40):
    random = np.random.default_rng(seed)
    picture = random.uniform(-1, 1, (height, width, 3))
    return picture, (picture + random.normal(0, 0.2, picture.shape)).clip(-1, 1)


def tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def test_psnr_agrees_with_scikit_image():
    picture, noisy = pair()
    expected = skimage.metrics.peak_signal_noise_ratio(picture, noisy, data_range=2)
    assert psnr(tensor(noisy), tensor(picture), 2.0).item() == pytest.approx(expected, rel=1e-9)


def test_psnr_of_a_given_error():
    black, grey = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1)
    assert psnr(grey, black, 1.0).item() == pytest.approx(20, abs=1e-5)


def test_psnr_of_equal_pictures_is_capped():
    images = torch.rand(2, 3, 16, 16)
    assert psnr(images, images, 1.0).tolist() == [MAX_PSNR_DB, MAX_PSNR_DB]


# The second is worked on in several strips, the last of them short.
@pytest.mark.parametrize(("height", "width"), [(24, 40), (701, 200)])
def test_ssim_agrees_with_scikit_image(height, width):
    picture, noisy = pair(0, height, width)
    expected = skimage.metrics.structural_similarity(
        picture,
        noisy,
        data_range=2,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(tensor(noisy), tensor(picture), 2.0).item() == pytest.approx(expected, rel=1e-7)


def test_ssim_of_equal_pictures_is_one():
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(ssim(images, images, 1.0), torch.ones(2, dtype=torch.float64))


def test_ssim_scores_each_picture_by_itself():
    first, second = pair(0), pair(1)
    together = [torch.cat([tensor(a), tensor(b)]) for a, b in zip(first, second, strict=True)]
    alone = torch.cat([ssim(*map(tensor, each), 2.0) for each in (first, second)])
    torch.testing.assert_close(ssim(*together, 2.0), alone)


def test_ssim_refuses_a_picture_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(torch.zeros(1, 3, 8, 32), torch.zeros(1, 3, 8, 32), 1.0)


@pytest.mark.parametrize(("side", "num_scales"), [(301, 5), (200, 5), (64, 3), (16, 1)])
def test_ms_ssim_agrees_with_torchmetrics(side, num_scales):
    weights = ms_ssim_weights(side, side + 20)
    assert len(weights) == num_scales
    assert sum(weights) == pytest.approx(1, abs=2e-4)
    picture, noisy = (tensor(each) for each in pair(0, side, side + 20))
    expected = by_torchmetrics(noisy, picture, weights)
    assert ms_ssim(noisy, picture, 2.0).item() == pytest.approx(expected, rel=1e-6)


def by_torchmetrics(noisy, picture, weights):
    """Scale by scale: as a whole it counts the border, mirrored, at the coarsest scale alone."""
    product = 1.0
    settings = {"gaussian_kernel": True, "data_range": 2.0}
    for scale, weight in enumerate(weights):
        _, similarity = _ssim_update(noisy, picture, return_contrast_sensitivity=True, **settings)
        if scale == len(weights) - 1:
            _, full = _ssim_update(noisy, picture, return_full_image=True, **settings)
            similarity = full[..., 5:-5, 5:-5].mean()
        product *= similarity.item() ** weight
        noisy, picture = F.avg_pool2d(noisy, 2), F.avg_pool2d(picture, 2)
    return product


@pytest.mark.parametrize("side", [16, 200])
def test_both_at_once_are_those_of_each(side):
    noisy, picture = (tensor(each) for each in pair(0, side, side))
    both = ssim_and_ms_ssim(noisy, picture, 2.0)
    assert both == (ssim(noisy, picture, 2.0), ms_ssim(noisy, picture, 2.0))


class LargestTensor(TorchDispatchMode):
    """The number of values of the largest tensor that comes into being."""

    num_values = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for each in result if isinstance(result, list | tuple) else (result,):
            self.num_values = max(self.num_values, each.numel())
        return result


def test_ssim_of_a_large_picture_takes_the_memory_of_a_strip():
    images = torch.rand(1, 3, 2048, 256)
    with LargestTensor() as largest:
        ssim(images, images, 1.0)
    assert largest.num_values < images.numel() / 2


def test_ms_ssim_of_equal_pictures_is_one():
    images = torch.rand(2, 3, 70, 70)
    torch.testing.assert_close(ms_ssim(images, images, 1.0), torch.ones(2, dtype=torch.float64))


# through the autoencoder


def in_memory(pictures):
    return PictureSet(
        name="val", keys=[str(index) for index in range(len(pictures))], load=pictures.__getitem__
    )


def some_pictures(count=5, height=32, width=64):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_every_prefix_of_the_levels_is_scored(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    found = measure_reconstructions(model, in_memory(some_pictures()), [])
    assert {len(each.measures["psnr_db"]) for each in found} == {5}
    assert [sorted(each.measures) for each in found] == [["ms_ssim", "psnr_db", "ssim"]] * len(
        model.level_channels
    )


def test_the_last_prefix_is_the_full_pyramid(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    images = torch.rand(2, 3, 32, 64) * 2 - 1
    with torch.no_grad():
        expected = model.decode(model.encode(images))
    torch.testing.assert_close(list(decode_prefixes(model, images))[-1], expected)


def test_an_autoencoder_with_nan_weights_is_refused(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(QualityGate, match="not finite; train it again"):
        measure_reconstructions(model, in_memory(some_pictures(1)), [])


def test_pictures_smaller_than_the_window_are_bad_input(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    with pytest.raises(BadInput, match="16x8 are too small"):
        measure_reconstructions(model, in_memory(some_pictures(1, 8, 16)), [])
