"""Opens tiny models, and makes pictures for them to enlarge."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_chain import SAMPLE

from pdm.data.pixels import Pixels
from pdm.inference.pictures.loaded_models import LoadedModels, load_models


def open_models(folder: Path, autoencoder: Path, diffusion_model: Path, **settings) -> LoadedModels:
    folder.mkdir(exist_ok=True)
    (folder / "autoencoder").symlink_to(autoencoder)
    (folder / "diffusion").symlink_to(diffusion_model)
    return load_models(folder, replace(SAMPLE, **settings))


def picture_of(height: int, width: int) -> Pixels:
    rough = np.random.default_rng(5).integers(30, 226, (5, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
