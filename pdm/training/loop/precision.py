"""The precision of forward passes (`training.precision`)."""

import torch

from pdm.config.training.loop import TrainingConfig


def dtype_of(config: TrainingConfig) -> torch.dtype:
    """Return the precision of most of a training's computation."""
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


def autocast(config: TrainingConfig, device: torch.device) -> torch.autocast:
    """Make the context in which networks compute in the training's precision."""
    reduced = dtype_of(config) == torch.bfloat16
    return torch.autocast(device.type, torch.bfloat16, enabled=reduced)
