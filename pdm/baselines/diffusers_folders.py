"""Imports first stages from diffusers' folders, such as those of released models."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, VQModel

from pdm.baselines.first_stage import DESIGNS, FirstStage, build_first_stage
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.errors import BadInput, why
from pdm.files import sha256_of

MIN_WIDTH = 8  # the least that a config accepts
KINDS: dict[str, Any] = {"AutoencoderKL": AutoencoderKL, "VQModel": VQModel}
LATENT_WEIGHTS = {"AutoencoderKL": 1e-6, "VQModel": 1.0}  # of LDM's training, for fine-tuning


@dataclass(frozen=True, slots=True)
class ImportedFirstStage:
    """A model folder that was written, and the lines of params.yaml that start from it."""

    folder: Path
    params: str


def import_first_stage(source: Path, output: Path) -> ImportedFirstStage:
    """Write the model folder of a first stage of diffusers, for `autoencoder.init_from`.

    Args:
        source: Folder of diffusers with config.json and safetensors.
        output: Folder to write, atomically; must not exist.

    Raises:
        BadInput: `output` exists; or as `from_diffusers`.
    """
    if output.exists():
        raise BadInput(f"{output} exists and is not replaced; remove it, or name another folder")
    model = from_diffusers(source)
    model.save_pretrained(output)
    config, digest = model.config, sha256_of(output / "model.safetensors")
    baseline = (
        f"{{name: {config.name}, base_width: {config.base_width}, "
        f"latent_scale: {config.latent_scale}, latent_weight: {config.latent_weight:.1e}}}"
    )
    params = (
        f"autoencoder:\n  baseline: {baseline}\n  init_from: {{path: {output}, sha256: {digest}}}"
    )
    return ImportedFirstStage(output, params)


def from_diffusers(folder: Path) -> FirstStage:
    """Load a folder of diffusers' `AutoencoderKL` or `VQModel`, in evaluation mode.

    Its `scaling_factor` becomes the latents' standard deviation; pickled weights are not read, and
    nothing is downloaded.

    Raises:
        BadInput: The folder cannot be read, or the network is not one of the released designs.
    """
    name = _class_name(folder)
    try:
        network = KINDS[name].from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{folder} cannot be read: {' '.join(str(error).split())}") from error
    config = _matching_config(network, LATENT_WEIGHTS[name])
    if config is None:
        raise BadInput(
            f"{folder} has a {name} that is not one of the released designs ({', '.join(DESIGNS)})"
        )
    model = build_first_stage(config)
    model.network.load_state_dict(network.state_dict())
    std = torch.full((model.level_channels[0],), 1 / network.config.scaling_factor)
    model.set_statistics([torch.zeros_like(std)], [std])
    return model.eval()


def _class_name(folder: Path) -> str:
    """Read which network a folder has, before diffusers could look for it elsewhere."""
    advice = "name the folder of the first stage, such as `vae` of a pipeline"
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise BadInput(f"the folder {folder} {state}; {advice}")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder} is not a folder of diffusers: its config.json cannot be read "
            f"({why(error)}); "
            f"{advice}"
        ) from error
    if not (isinstance(config, dict) and "_class_name" in config):
        raise BadInput(
            f"{folder} is not a folder of diffusers: its config.json has no _class_name; {advice}"
        )
    name = str(config["_class_name"])
    if name not in KINDS:
        raise BadInput(f"{folder} has a {name}; only {' and '.join(KINDS)} can be imported")
    return name


def _matching_config(network: Any, latent_weight: float) -> FirstStageConfig | None:
    """Find the config of the network's released design; None if it has none."""
    width = network.config.block_out_channels[0]
    for name in DESIGNS if width >= MIN_WIDTH else ():
        config = FirstStageConfig(
            name=name, base_width=width, latent_scale="scalar", latent_weight=latent_weight
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
