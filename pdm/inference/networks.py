"""The networks that draw: the diffusion model with the weights asked for, and its guide, if any."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pdm import averages, weights
from pdm.baselines import networks
from pdm.config.sample import GuideConfig, SampleConfig
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.layers import with_plain_weights, with_settled_norms

if TYPE_CHECKING:
    from pdm.baselines.networks import Network


@dataclass(frozen=True, slots=True)
class Networks:
    """In evaluation mode, on one device."""

    network: "Network"
    guide: "Network | None"  # None where nothing guides


def load_networks(diffusion: Path, config: SampleConfig, device: torch.device) -> Networks:
    """Load what the section `sample` asks for.

    Raises:
        BadInput: A model is missing, has no averages to choose from, or cannot guide this one.
    """
    network = networks.load_network(diffusion)
    if config.ema_length is not None:
        network.load_state_dict(averages.of_length(diffusion, config.ema_length), strict=False)
    guide = None
    if config.guidance_scale != 1:
        assert config.guide is not None
        guide = with_plain_weights(_guide(config.guide, diffusion, network)).to(device)
    return Networks(with_plain_weights(network).to(device), guide)


def _guide(config: GuideConfig, diffusion: Path, network: "Network") -> "Network":
    if config.kind == "average":
        assert config.ema_length is not None
        guide = networks.load_network(diffusion)
        found = averages.of_length(diffusion, config.ema_length, config.images_seen)
        guide.load_state_dict(found, strict=False)
        return with_settled_norms(guide)
    assert config.path is not None
    folder = Path(config.path)
    _check_files(folder, str(config.sha256))
    guide = networks.load_network(folder)
    _check_fit(folder, weights.record_of(diffusion), _windows(network), _windows(guide))
    return guide


def _check_files(folder: Path, sha256: str) -> None:
    """The digest in the params says which model was meant, so equal params mean equal pictures."""
    try:
        found = sha256_of(folder / "model.safetensors")
    except OSError as error:
        raise BadInput(f"sample.guide.path: {folder} cannot be read: {error}") from error
    if found != sha256:
        raise BadInput(
            f"sample.guide.path: {folder / 'model.safetensors'} has sha256 {found}, but "
            f"sample.guide.sha256 is {sha256}; name the model that was meant, or its digest"
        )


def _check_fit(folder: Path, facts: dict[str, Any], windows: object, of_guide: object) -> None:
    found = weights.record_of(folder)
    for name in ("autoencoder_sha256", "level_shapes"):
        if found.get(name) != facts[name]:
            raise BadInput(
                f"sample.guide.path: {folder} has {name} {found.get(name)}, the model that it is "
                f"to guide has {facts[name]}; both must be trained on the same latents"
            )
    if windows != of_guide:
        raise BadInput(
            f"sample.guide.path: {folder} was trained with windows {of_guide}, the model that it "
            f"is to guide with {windows}; their times must mean the same"
        )


def _windows(network: "Network") -> object:
    return getattr(network.config, "windows", None)
