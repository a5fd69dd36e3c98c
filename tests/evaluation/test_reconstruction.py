import numpy as np
import pytest
import skimage.metrics
import torch

from pdm.errors import BadInput, QualityGate
from pdm.evaluation.pictures import PictureSet
from pdm.evaluation.reconstruction import (
    MAX_PSNR_DB,
    psnr,
    reconstructions,
    score_reconstructions,
    ssim,
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


def test_psnr_of_a_known_error():
    black, grey = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1)
    assert psnr(grey, black, 1.0).item() == pytest.approx(20, abs=1e-5)


def test_psnr_of_equal_pictures_is_capped():
    images = torch.rand(2, 3, 16, 16)
    assert psnr(images, images, 1.0).tolist() == [MAX_PSNR_DB, MAX_PSNR_DB]


def test_ssim_agrees_with_scikit_image():
    picture, noisy = pair()
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


# through the autoencoder


def in_memory(pictures):
    return PictureSet(
        name="val", keys=[str(index) for index in range(len(pictures))], load=pictures.__getitem__
    )


def some_pictures(count=5, height=32, width=64):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_every_prefix_of_the_levels_is_scored(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    found = score_reconstructions(model, in_memory(some_pictures()), batch_size=2)
    assert {len(each["psnr_db"]) for each in found} == {5}
    assert [sorted(each) for each in found] == [["psnr_db", "ssim"]] * len(model.level_channels)


def test_scores_do_not_depend_on_the_batch_size(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    one, all_at_once = (
        score_reconstructions(model, in_memory(some_pictures()), batch_size)
        for batch_size in (1, 5)
    )
    for first, second in zip(one, all_at_once, strict=True):
        for name, values in first.items():
            np.testing.assert_allclose(values, second[name], atol=1e-5)


def test_the_last_prefix_is_the_whole_pyramid(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    images = torch.rand(2, 3, 32, 64) * 2 - 1
    with torch.no_grad():
        expected = model.decode(model.encode(images))
    torch.testing.assert_close(reconstructions(model, images)[-1], expected)


def test_an_autoencoder_gone_to_nan_is_no_result(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    for parameter in model.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(QualityGate, match="not finite; train it again"):
        score_reconstructions(model, in_memory(some_pictures(1)), batch_size=1)


def test_pictures_smaller_than_the_window_are_bad_input(autoencoder):
    model = PyramidAutoencoder.from_pretrained(autoencoder)
    with pytest.raises(BadInput, match="16x8 are too small"):
        score_reconstructions(model, in_memory(some_pictures(1, 8, 16)), batch_size=1)
