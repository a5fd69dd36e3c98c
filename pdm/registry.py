"""Builds networks from their config, or loads them from their model folder.

diffusers takes seconds to import, so it is imported only for LDM's networks and StableSR's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.networks.unet import UNetConfig
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.errors import BadInput
from pdm.model_record import record_of
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Downsampling, LevelShape
from pdm.models.unet import PyramidUNet
from pdm.tasks.find import with_sizes
from pdm.tasks.task import Levels


def build_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """Build the autoencoder that a config names, with random weights."""
    network = config.network
    if isinstance(network, AutoencoderModelConfig):
        return PyramidAutoencoder(network)
    from pdm.baselines.first_stage import build_first_stage

    return build_first_stage(network)


def load_autoencoder(folder: Path) -> Autoencoder:
    """Load a model folder, on the CPU and in evaluation mode.

    Raises:
        BadInput: The folder is missing or damaged, or is not an autoencoder.
    """
    kind = record_of(folder).get("kind")
    if kind == PyramidAutoencoder.__name__:
        return PyramidAutoencoder.from_pretrained(folder)
    from pdm.baselines.first_stage import KLFirstStage, VQFirstStage
    from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage

    for design in (KLFirstStage, VQFirstStage, FusingFirstStage):
        if kind == design.__name__:
            return design.from_pretrained(folder)
    raise BadInput(f"{folder} is a {kind}, not an autoencoder; name another folder")


def level_shapes_of(
    config: AutoencoderConfig,
) -> tuple[tuple[LevelShape, ...], tuple[Downsampling, ...]]:
    """Shapes (C, h, w) and downsamplings of the latents that an autoencoder will make."""
    with torch.device("meta"):
        model = build_autoencoder(config)
    sides = config.image_height_px, config.image_width_px
    return model.level_shapes(*sides), model.level_downsamplings


def build_denoiser(
    config: DiffusionConfig,
    channels: tuple[int, ...],
    downsamplings: tuple[Downsampling, ...],
    facts: Mapping[str, Any] | None = None,
) -> Denoiser:
    """Build the denoising network that a config names, with random weights.

    Args:
        config: Section `diffusion` of the params.
        channels: Channels of each level of the latents, coarse to fine.
        downsamplings: Downsampling of each level, coarse to fine; the first may be "global".
        facts: Those of the latents' manifest, which the sizes of a condition may follow from.

    Raises:
        BadInput: They would follow from facts that there are none of.
    """
    network = with_sizes(config, Levels(channels, downsamplings), facts or {})
    if isinstance(network, UNetConfig):
        return PyramidUNet(network, channels, downsamplings)
    from pdm.baselines.unets import LatentUNet

    return LatentUNet(network, channels, downsamplings)


def load_denoiser(folder: Path) -> Denoiser:
    """Load a model folder, on the CPU and in evaluation mode.

    Raises:
        BadInput: The folder is missing or damaged, or is not a denoising network.
    """
    kind = record_of(folder).get("kind")
    if kind == PyramidUNet.__name__:
        return PyramidUNet.from_pretrained(folder)
    from pdm.baselines.stablesr.denoiser import StableSR
    from pdm.baselines.unets import LatentUNet

    for design in (LatentUNet, StableSR):
        if kind == design.__name__:
            return design.from_pretrained(folder)
    raise BadInput(f"{folder} is a {kind}, not a denoising network; name another folder")
