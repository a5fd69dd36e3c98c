"""Fine-tuning by LoRA: adapters on a frozen network, and a model folder without them.

Spectral norms are divided out before: the adapters are on the effective weights, and the trained
network has none. docs/decisions/lora.md says why this is not done by the package peft.
"""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file

from pdm import ema
from pdm.config.networks.unet import UNetConfig
from pdm.config.training.lora import ATTENTION, LoraConfig
from pdm.counts import counted
from pdm.errors import BadInput
from pdm.files import write_json
from pdm.models.denoiser import Denoiser
from pdm.models.layers.lora import (
    ATTENTION_LAYERS,
    add_adapters,
    factors_of,
    find_layers,
    full_rank,
    merge_adapters,
)
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.scratch_folders import scratch_folder

logger = logging.getLogger(__name__)

FOLDER = "lora"  # inside a model's folder
NUM_NAMED = 4  # layers named in an error

Network = TypeVar("Network", bound=Denoiser)


def attach(network: Network, config: LoraConfig | None) -> Network:
    """Freeze a network and add adapters, in place; None leaves it as it is.

    Raises:
        BadInput: A target is not the end of a layer's name, or no adapted layer can have this rank.
    """
    if config is None:
        return network
    layers = adapt(network, config)
    weights = list(network.parameters())
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    frozen = sum(weight.numel() for weight in weights) - trained
    logger.info(
        "diffusion: LoRA of rank %d on %s trains %s weights (%.2f %% of the %s that stay)",
        config.rank,
        counted(len(layers), "layer"),
        f"{trained:,}",
        100 * trained / frozen,
        f"{frozen:,}",
    )
    return network


def adapt(network: Denoiser, config: LoraConfig) -> list[str]:
    """Do what `attach` does, and give the names of the adapted layers.

    Raises:
        BadInput: A target is not the end of a layer's name, or no adapted layer can have this rank.
    """
    was_training = network.training
    bake_spectral_norms(network.eval()).train(was_training)  # in training, the norms would iterate
    if isinstance(network.config, UNetConfig):
        network.config = dataclasses.replace(network.config, spectral_norm=False)
    try:
        targets = _targets(network, config)
        largest = max(map(full_rank, find_layers(network, targets).values()))
    except ValueError as error:
        layers = [name for name, one in network.named_modules() if not list(one.children())]
        raise BadInput(
            f"diffusion.lora.targets: {error}; names of layers are such as "
            f"{', '.join(_attention_of(network)[:NUM_NAMED] or layers[:NUM_NAMED])}"
        ) from error
    if config.rank > largest:
        raise BadInput(
            f"diffusion.lora.rank is {config.rank:,}, but the weights of the adapted layers have "
            f"at most rank {largest:,}; choose a rank far below that, or train without lora"
        )
    return add_adapters(network, config.rank, config.scale, targets)


def merge(network: Network, config: LoraConfig) -> Network:
    """Return a network without adapters that computes the same, on the same device."""
    device = next(network.parameters()).device
    levels = network.facts["level_channels"], network.facts["level_downsamplings"]
    plain = type(network)(network.config, *levels)
    plain.load_state_dict(merge_adapters(network.state_dict(), config.scale))
    plain.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return plain.requires_grad_(requires_grad=False).eval()


@contextmanager
def adapter_folder(network: Denoiser, config: LoraConfig | None, run: Path) -> Iterator[Path]:
    """Yield a temporary folder with the adapters in the format of peft, for a model's folder; it
    does not exist without LoRA."""
    with scratch_folder("adapters", run) as scratch:
        folder = scratch / FOLDER
        if config is not None:
            _write_adapters(network, config, folder)
        yield folder


def merge_snapshots(folder: Path, config: LoraConfig | None) -> None:
    """Merge the adapters of EMA snapshots in a folder, in place."""
    for snapshot in ema.snapshots_in(folder) if config is not None else ():
        assert config is not None
        ema.write_snapshot(snapshot.path, merge_adapters(load_file(snapshot.path), config.scale))


def _targets(network: Denoiser, config: LoraConfig) -> list[str]:
    """List names of layers, or their ends, with all layers of attention in place of `ATTENTION`."""
    found: list[str] = []
    for target in config.targets:
        found += _attention_of(network) if target == ATTENTION else [target]
    if not found:
        raise ValueError("the network has no attention; name other layers")
    return found


def _attention_of(network: Denoiser) -> list[str]:
    """List the layers of attention, but for those of a text encoder that is trained with it."""
    ends = tuple(f".{end}" for end in ATTENTION_LAYERS)
    names = (name for name, _ in network.named_modules() if not name.startswith("text."))
    return [name for name in names if f".{name}".endswith(ends)]


def _write_adapters(network: Denoiser, config: LoraConfig, folder: Path) -> None:
    folder.mkdir()
    factors = factors_of(network.state_dict())
    tensors = {
        f"base_model.model.{layer}.lora_{letter}.weight": factor.detach().cpu().contiguous()
        for layer, pair in factors.items()
        for letter, factor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings: dict[str, Any] = {
        "peft_type": "LORA",
        "base_model_name_or_path": None,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(factors),
        "inference_mode": True,
        "task_type": None,
    }
    write_json(folder / "adapter_config.json", settings)
