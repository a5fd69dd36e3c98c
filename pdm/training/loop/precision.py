"""The precision of forward passes (`training.precision`)."""

import torch

from pdm.config.training.loop import TrainingConfig


def autocast(config: TrainingConfig, device: torch.device) -> torch.autocast:
    """Make the context in which networks compute in the training's precision."""
    reduced = config.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=reduced)
