"""Tiny models with random weights, in the folders that a training writes."""

from dataclasses import replace
from pathlib import Path

import torch
from shared.tiny_pyramid import AUTOENCODER, UNET

from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.task import TaskConfig, task_record
from pdm.files import sha256_of
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.layers.spectral_norm import settle_spectral_norms
from pdm.models.unet import PyramidUNet

CELEBA = LatentUNetConfig(name="celeba", base_width=32, predicts="noise")
KL_SCALAR = FirstStageConfig(name="kl-f4", base_width=8, latent_weight=1e-6, latent_scale="scalar")
KL_CHANNEL = replace(KL_SCALAR, latent_scale="channel")
VQ_SCALAR = replace(KL_SCALAR, name="vq-f4", latent_weight=1.0)
VQ_CHANNEL = replace(VQ_SCALAR, latent_scale="channel")


def randomise(network: torch.nn.Module) -> torch.nn.Module:
    """Give every weight a value, also those that start at zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in network.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.add_(
                noise / max(1, weight[0].numel()) ** 0.5 if weight.ndim > 1 else 0.1 * noise
            )
    return settle_spectral_norms(network).eval()


def first_stage(config: FirstStageConfig) -> Autoencoder:
    from pdm.baselines.first_stage import build_first_stage

    torch.manual_seed(0)
    network = randomise(build_first_stage(config))
    channels = network.level_channels[0]
    network.set_statistics([torch.linspace(-1, 2, channels)], [torch.linspace(0.5, 3, channels)])
    return network


def latent_unet(config: LatentUNetConfig, channels: int = 3) -> Denoiser:
    from pdm.baselines.unets import LatentUNet

    torch.manual_seed(0)
    return randomise(LatentUNet(config, (channels,), (4,)))


def pyramid() -> tuple[Autoencoder, Denoiser]:
    torch.manual_seed(0)
    levels = tuple((level.channels, level.downsampling) for level in AUTOENCODER.levels)
    channels, downsamplings = zip(*levels, strict=True)
    unet = PyramidUNet(UNET, channels, downsamplings)
    return randomise(PyramidAutoencoder(AUTOENCODER)), randomise(unet)


def write_models(
    folder: Path,
    autoencoder: Autoencoder,
    denoiser: Denoiser,
    size: tuple[int, int] = (32, 32),
    task: TaskConfig | None = None,
    **facts,
) -> Path:
    """Write both folders; `size` is (H, W) in pixels."""
    autoencoder.save_pretrained(folder / "autoencoder")
    denoiser.save_pretrained(
        folder / "diffusion",
        level_shapes=autoencoder.level_shapes(*size),
        image_height_px=size[0],
        image_width_px=size[1],
        autoencoder_sha256=sha256_of(folder / "autoencoder" / "model.safetensors"),
        images_seen=64,
        **({"task": task_record(task)} if task else {}),
        **facts,
    )
    return folder
