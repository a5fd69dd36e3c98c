"""Seams of the tilings with other models than the pyramid: LDM's, and one trained to enlarge.

Landscapes that no model saw are reduced to the trained size and enlarged four times again. LDM's
models have a single latent, of which nothing is known: all of it is drawn, halfway from noise as
the commands do by default, or from noise, where the picture has no say. The pyramid that was
trained for super-resolution begins at noise and has the whole picture as its condition.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.parts.any_size.seam_lines import (
    FACTOR,
    TRAINED,
    contrast_line,
    enlarge_all,
    landscapes,
    large_size,
    seam_line,
    train_with_close_ups,
)
from benchmarks.parts.any_size.seam_scores import seam_scores
from benchmarks.parts.tasks import world
from benchmarks.shared.ratios import Ratio
from pdm.config import Params
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.sampling.tiling import MODES
from pdm.data.pixels import Pixels
from pdm.inference.pictures.loaded_models import LoadedModels

FIRST_STAGE = FirstStageConfig(
    name="kl-f4", base_width=16, latent_scale="scalar", latent_weight=1e-6
)
DENOISER = LatentUNetConfig(name="celeba", base_width=32, predicts="velocity")


@dataclass(frozen=True)
class Size:
    world: world.Size
    num_pictures: int


QUICK = Size(world.QUICK, 2)
FULL = Size(TRAINED, 10)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Train both models, and score what they enlarge in all modes."""
    ldm = train_with_close_ups(_ldm_params(size.world), size.world, folder / "ldm")
    enlarging = world.params_of(size.world, "model-tiny", "task-super-resolution")
    base = train_with_close_ups(enlarging, size.world, folder / "super_resolution")
    return [
        *_lines(ldm, size.num_pictures, None, "ldm_seam", "enlargements by LDM's models"),
        *_lines(ldm, size.num_pictures, 1.0, "ldm_noise_seam", "LDM's pictures from noise"),
        *_lines(base, size.num_pictures, None, "sr_seam", "enlargements by a trained enlarger"),
    ]


def _lines(
    models: LoadedModels, count: int, strength: float | None, key: str, what: str
) -> list[Ratio]:
    real = landscapes(large_size(models), count)
    small = [_reduced(picture) for picture in real]
    pictures = {mode: enlarge_all(models, small, mode, strength) for mode in MODES}
    truth = seam_scores(real, models.size)
    return [
        *(seam_line(mode, pictures[mode], truth, models.size, key, what) for mode in MODES),
        contrast_line(pictures, models.size, key, what),
    ]


def _reduced(picture: Pixels) -> Pixels:
    height, width = (side // FACTOR for side in picture.shape[:2])
    image = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _ldm_params(size: world.Size) -> Params:
    """Return params of LDM's networks at a small width, in the trainings of the pyramid."""
    config = world.params_of(size, "model-tiny", None)
    autoencoder = dataclasses.replace(config.autoencoder, baseline=FIRST_STAGE)
    diffusion = dataclasses.replace(
        config.diffusion, baseline=DENOISER, level_loss_weights=(1.0,), score_images=0
    )
    return dataclasses.replace(config, autoencoder=autoencoder, diffusion=diffusion)
