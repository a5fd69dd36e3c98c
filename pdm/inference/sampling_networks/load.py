"""Loads the networks that the section `sample` asks for, ready to sample from."""

from pathlib import Path

import torch

from pdm import ema, weights
from pdm.config.stages.sample import SampleConfig
from pdm.inference.conditioning import Conditioning
from pdm.inference.sampling_networks.conditioning_of_model import conditioning_of_model
from pdm.inference.sampling_networks.few_steps import check_settings, uses_few_step_network
from pdm.inference.sampling_networks.guide import load_guide
from pdm.inference.sampling_networks.networks import Networks
from pdm.model_record import record_of
from pdm.models.layers.spectral_norm import bake_spectral_norms, settle_spectral_norms
from pdm.registry import load_denoiser


def load_networks(
    diffusion: Path,
    config: SampleConfig,
    device: torch.device,
    conditioning: Conditioning | None = None,
) -> Networks:
    """Load the networks that the section `sample` asks for.

    That is the flow with its guide, or the network distilled for few steps, which takes their
    place (`uses_few_step_network`).

    Args:
        diffusion: Folder of the diffusion model.
        config: Section `sample` of the params.
        device: Device of the networks.
        conditioning: What the images show; needed only where it is a part of an image. None for
            classes as the config says, or nothing.

    Raises:
        BadInput: A model is missing, has no EMA snapshots, or cannot guide this one; or a model
            that works on an image has none.
    """
    if uses_few_step_network(diffusion, config):
        check_settings(diffusion, config)
        return _load_few_steps(diffusion, config, device, conditioning)
    network = load_denoiser(diffusion)
    if config.ema_length is not None:
        network.load_state_dict(ema.load_ema(diffusion, config.ema_length), strict=False)
        settle_spectral_norms(network)  # they were estimated on the weights of another EMA
    conditioning = conditioning or conditioning_of_model(diffusion, network, config)
    guide, gets_condition = None, False
    if config.guidance_scale != 1:
        assert config.guide is not None
        gets_condition = config.guide.kind != "unconditional"
        guide = bake_spectral_norms(load_guide(config.guide, diffusion, network)).to(device)
    plain = bake_spectral_norms(network).to(device)
    return Networks(plain, guide, gets_condition, conditioning)


def _load_few_steps(
    diffusion: Path, config: SampleConfig, device: torch.device, conditioning: Conditioning | None
) -> Networks:
    folder = diffusion / weights.FEW_STEPS
    network = load_denoiser(folder)
    # The vocabulary of a text model is in the folder of the flow.
    conditioning = conditioning or conditioning_of_model(diffusion, network, config)
    stops = torch.tensor(record_of(folder)["stops"], dtype=torch.float64)
    return Networks(bake_spectral_norms(network).to(device), conditioning=conditioning, stops=stops)
