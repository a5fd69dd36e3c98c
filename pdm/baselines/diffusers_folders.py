"""Reads first stages from diffusers' folders, such as those of released models."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, VQModel

from pdm.baselines.first_stage import DESIGNS, FirstStage, build_first_stage
from pdm.config.networks.first_stage import FirstStageConfig

MIN_WIDTH = 8  # the least that a config accepts


def from_diffusers(folder: Path) -> FirstStage:
    """Load a folder of diffusers' `AutoencoderKL` or `VQModel`, in evaluation mode.

    Its `scaling_factor` becomes the latents' standard deviation; pickled weights are not read.

    Raises:
        ValueError: The network is not one of the released designs.
        OSError: The folder cannot be read.
    """
    kind: Any = {"VQModel": VQModel}.get(VQModel.load_config(folder)["_class_name"], AutoencoderKL)
    network = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    config = _matching_config(network)
    if config is None:
        raise ValueError(
            f"{folder} has a {kind.__name__} that is not one of the released designs "
            f"({', '.join(DESIGNS)})"
        )
    model = build_first_stage(config)
    model.network.load_state_dict(network.state_dict())
    std = torch.full((model.level_channels[0],), 1 / network.config.scaling_factor)
    model.set_statistics([torch.zeros_like(std)], [std])
    return model.eval()


def _matching_config(network: Any) -> FirstStageConfig | None:
    """Find the config of the network's released design; None if it has none."""
    width = network.config.block_out_channels[0]
    for name in DESIGNS if width >= MIN_WIDTH else ():
        config = FirstStageConfig(
            name=name, base_width=width, latent_scale="channel", latent_weight=0.0
        )
        with torch.device("meta"):
            candidate = build_first_stage(config).network
        if _layout(candidate) == _layout(network):
            return config
    return None


def _layout(network: Any) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes of the weights, and the groups of the norms, which no shape shows."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return shapes, network.config.norm_num_groups
