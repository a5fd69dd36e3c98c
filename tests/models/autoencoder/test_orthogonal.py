"""Properties of the projection that makes the levels of a pyramid orthogonal."""

import dataclasses
import json

import pytest
import torch
from small_autoencoder import CONFIG, images

from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.levels.orthogonal import remove_coarse_content


def random_pyramid(seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 5, 1, 1), (2, 4, 2, 4), (2, 3, 4, 8), (2, 2, 16, 32)]
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def test_means_over_the_cells_of_the_coarser_grid_are_gone():
    pyramid = remove_coarse_content(random_pyramid())
    cells = pyramid[2].unflatten(3, (4, 2)).unflatten(2, (2, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(cells, torch.zeros(2, 3, 2, 4).double())
    cells = pyramid[3].unflatten(3, (8, 4)).unflatten(2, (4, 4)).mean(dim=(3, 5))
    torch.testing.assert_close(cells, torch.zeros(2, 2, 4, 8).double())


def test_the_projection_applied_again_changes_nothing():
    once = remove_coarse_content(random_pyramid())
    for level, again in zip(once, remove_coarse_content(once), strict=True):
        torch.testing.assert_close(level, again)


def test_what_is_removed_is_orthogonal_to_what_stays():
    pyramid = random_pyramid()
    for level, own in zip(pyramid, remove_coarse_content(pyramid), strict=True):
        assert abs(float(((level - own) * own).sum())) < 1e-9


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_prefix_is_projected_as_within_the_whole(count):
    pyramid = random_pyramid()
    whole = remove_coarse_content(pyramid)[:count]
    for level, alone in zip(whole, remove_coarse_content(pyramid[:count]), strict=True):
        assert torch.equal(level, alone)


def orthogonal_autoencoder() -> PyramidAutoencoder:
    torch.manual_seed(0)
    return PyramidAutoencoder(dataclasses.replace(CONFIG, orthogonal_levels=True)).eval()


@torch.no_grad()
def test_latents_of_the_autoencoder_are_projected():
    means, _ = orthogonal_autoencoder().posterior(images())
    for level, own in zip(means, remove_coarse_content(means), strict=True):
        torch.testing.assert_close(level, own)
    assert all(level.std() > 0 for level in means)


@torch.no_grad()
def test_the_decoder_ignores_what_a_coarser_level_could_hold():
    autoencoder = orthogonal_autoencoder()
    means, _ = autoencoder.posterior(images())
    disturbed = (*means[:-1], means[-1] + 3.0)
    found, wanted = (autoencoder.decode_raw(levels) for levels in (disturbed, means))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_a_model_from_before_the_setting_loads_without_it(tmp_path):
    torch.manual_seed(0)
    PyramidAutoencoder(CONFIG).save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["orthogonal_levels"]
    path.write_text(json.dumps(record))
    assert PyramidAutoencoder.from_pretrained(tmp_path / "model").config == CONFIG
