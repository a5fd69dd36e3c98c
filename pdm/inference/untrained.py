"""Writes models with random weights, to see what a model size costs before it is trained."""

import dataclasses
import logging
from pathlib import Path

import torch

from pdm.config import Params
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.registry import build_autoencoder, build_denoiser

logger = logging.getLogger(__name__)


def write_untrained(config: Params, *, autoencoder: Path, diffusion: Path) -> None:
    """Write both model folders; the stage `sample` accepts them, and draws noise.

    Args:
        config: All sections of the params.
        autoencoder, diffusion: Folders to write; must not exist.

    Raises:
        BadInput: One of the folders exists, and might hold a trained model.
    """
    for folder in (autoencoder, diffusion):
        if folder.exists():
            raise BadInput(f"{folder} exists; name a new folder")
    torch.manual_seed(0)
    size = (config.autoencoder.image_height_px, config.autoencoder.image_width_px)
    facts = {"image_height_px": size[0], "image_width_px": size[1], "images_seen": 0}
    first_stage = build_autoencoder(config.autoencoder).eval()
    first_stage.save_pretrained(autoencoder, **facts)
    levels = (first_stage.level_channels, first_stage.level_downsamplings)
    # Without the task: its condition costs little, and its sizes may need data that do not exist.
    free = dataclasses.replace(config.diffusion, task=None)
    network = build_denoiser(free, *levels).eval()
    network.save_pretrained(
        diffusion,
        level_shapes=first_stage.level_shapes(*size),
        autoencoder_sha256=sha256_of(autoencoder / "model.safetensors"),
        **facts,
    )
    logger.warning("%s and %s hold random weights: they draw noise", autoencoder, diffusion)
