"""Models with random weights: those of a preset, and a small LDM.

The LDM has 8 pixels to a latent cell, and tiles of 64 cells as published.
"""

import dataclasses

import torch

from pdm import presets
from pdm.baselines.first_stage import KLFirstStage
from pdm.baselines.unets import LatentUNet
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.task import UnconditionalTask
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.sampling_networks import Networks
from pdm.registry import build_autoencoder, build_denoiser

TILE_PX = 512
CELL_PX = 8  # side of a latent cell


def small_ldm(steps: int) -> LoadedModels:
    """A KL f8 and LDM's network for faces, both at a small width, trained at 512x512 in name."""
    torch.manual_seed(0)
    stage = FirstStageConfig(name="kl-f8", base_width=32, latent_scale="channel", latent_weight=1.0)
    autoencoder = KLFirstStage(stage).eval()
    unet = LatentUNetConfig(name="celeba", base_width=32, predicts="velocity")
    network = LatentUNet(unet, autoencoder.level_channels, autoencoder.level_downsamplings)
    config = dataclasses.replace(
        presets.load("model-tiny").sample,
        steps=steps,
        sampler="multistep",
        guidance_scale=1.0,
        guide=None,
        tile_px=None,
    )
    task = UnconditionalTask(kind="unconditional")
    size = (TILE_PX, TILE_PX)
    return LoadedModels(autoencoder, Networks(network.eval()), config, task, size, {})


def untrained(preset: str, steps: int) -> LoadedModels:
    """Models of a preset without a task, in float32 and without guidance."""
    torch.manual_seed(0)
    config = presets.load(preset)
    autoencoder = build_autoencoder(config.autoencoder).eval()
    levels = autoencoder.level_channels, autoencoder.level_downsamplings
    network = build_denoiser(config.diffusion, *levels).eval()
    sample = dataclasses.replace(
        config.sample, steps=steps, guidance_scale=1.0, guide=None, tile_px=None
    )
    size = config.autoencoder.image_height_px, config.autoencoder.image_width_px
    task = UnconditionalTask(kind="unconditional")
    return LoadedModels(autoencoder, Networks(network), sample, task, size, {})
