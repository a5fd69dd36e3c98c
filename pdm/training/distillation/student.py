"""The student, and its teacher, the flow whose weights it starts with."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from pdm.config.networks.unet import UNetConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.diffusion.level_schedules import sampler_stops
from pdm.models.denoiser import Denoiser
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.registry import build_denoiser
from pdm.training.objectives.distillation import DistillationLosses


def build_losses(
    config: DiffusionConfig,
    teacher: Denoiser,
    device: torch.device,
    facts: Mapping[str, Any] | None = None,
) -> DistillationLosses:
    """Build the student, which starts with its teacher's weights, and its losses.

    The student has no dropout: its targets have no noise that it could overfit to. All of its
    weights are trained, even if the flow was fine-tuned by LoRA (docs/decisions/lora.md).

    Args:
        config: With `distil`.
        teacher: The flow, as its folder has it; it is changed, see `bake_spectral_norms`.
        device: To put both on.
        facts: Those of the latents' manifest, which the sizes of a condition may follow from.
    """
    assert config.distil is not None
    channels = tuple(teacher.facts["level_channels"])
    downsamplings = tuple(teacher.facts["level_downsamplings"])
    model = build_denoiser(_config_like(teacher, config), channels, downsamplings, facts)
    model.load_state_dict(teacher.state_dict())
    for network in (model, teacher):
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = bake_spectral_norms(teacher).requires_grad_(False).eval()
    stops = sampler_stops(config.distil.teacher_steps, 1.0, config.schedule, len(channels))
    return DistillationLosses(model, teacher, stops, config.distil.steps, config.level_loss_weights)


def _config_like(teacher: Denoiser, config: DiffusionConfig) -> DiffusionConfig:
    """The config of a network that takes the teacher's weights, without dropout."""
    if not isinstance(config.network, UNetConfig):
        return config
    network = dataclasses.replace(
        config.network,
        dropout=(0.0,) * len(config.network.dropout),
        condition=teacher.condition_sizes,
        spectral_norm=teacher.config.spectral_norm,  # a flow that was tuned by LoRA has none
    )
    return dataclasses.replace(config, model=network)
