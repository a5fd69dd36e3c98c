"""Linear predictions of levels from coarser ones, and what encoding makes of them."""

import dataclasses

import pytest
import torch
from small_autoencoder import CONFIG, images

from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.levels.prediction import (
    num_inputs,
    predict_level,
    regression_inputs,
    regression_targets,
)
from pdm.training.latent_space.predictions import fit_predictions

SHAPES = [(5, 1, 1), (4, 2, 4), (3, 4, 8), (2, 16, 32)]


def random_pyramid(seed: int = 0, count: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in SHAPES)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_the_fast_way_equals_the_product_with_all_inputs(index):
    pyramid = random_pyramid()
    coarser, level = pyramid[:index], pyramid[index]
    inputs = regression_inputs(coarser, level)
    assert inputs.shape[1] == num_inputs([part.shape[1] for part in coarser])
    weights = torch.randn(inputs.shape[1], regression_targets(coarser, level).shape[1])
    found = predict_level(coarser, weights, level.shape[1], level.shape[2:])
    torch.testing.assert_close(regression_targets(coarser, found), inputs @ weights)


def test_a_level_that_follows_from_the_coarser_ones_leaves_nothing():
    pyramid = random_pyramid(count=200)
    weights = torch.randn(num_inputs([5, 4, 3]), 2 * 16)
    exact = (*pyramid[:3], predict_level(pyramid[:3], weights, 2, (16, 32)))
    fitted = fit_predictions([exact])[-1]
    left = exact[3] - predict_level(exact[:3], fitted, 2, (16, 32))
    assert left.std() < 0.01 * exact[3].std()


def autoencoder_with(**changes) -> PyramidAutoencoder:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIG, residual_levels=True, **changes)
    model = PyramidAutoencoder(config).eval()
    shapes = [buffer.shape for name, buffer in model.named_buffers() if "prediction" in name]
    model.set_predictions([0.1 * torch.randn(shape) for shape in shapes])
    return model


@pytest.mark.parametrize("orthogonal", [False, True])
@torch.no_grad()
def test_decoding_adds_what_encoding_subtracts(orthogonal):
    model = autoencoder_with(orthogonal_levels=orthogonal)
    means, _ = model.posterior(images())
    assert not torch.allclose(model.encode(images())[2], means[2], atol=1e-3)
    for count in range(1, len(means) + 1):
        expected = model.decode_raw(means[:count], (32, 64)).clamp(-1, 1)
        found = model.decode(model.encode(images())[:count], (32, 64))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_saved_model_keeps_its_predictions(tmp_path):
    model = autoencoder_with()
    model.save_pretrained(tmp_path / "model")
    loaded = PyramidAutoencoder.from_pretrained(tmp_path / "model")
    for found, expected in zip(loaded.encode(images()), model.encode(images()), strict=True):
        assert torch.equal(found, expected)
