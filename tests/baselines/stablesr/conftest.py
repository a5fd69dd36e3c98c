"""A small StableSR, as its files are published and as it is imported."""

import pytest
from shared.published_stablesr import (
    published_weights,
    save_as_lightning,
)
from stablesr_files import published

from pdm.baselines.stablesr.importing import import_stablesr
from pdm.registry import load_denoiser


@pytest.fixture(scope="session")
def weights():
    return published_weights()


@pytest.fixture(scope="session")
def folder(weights, tmp_path_factory):
    """What the import makes of a checkpoint like Lightning's."""
    base = tmp_path_factory.mktemp("published")
    save_as_lightning(weights, base / "stablesr.ckpt")
    import_stablesr(published(base / "stablesr.ckpt"), base / "models")
    return base / "models"


@pytest.fixture(scope="session")
def model(folder):
    return load_denoiser(folder / "diffusion")
