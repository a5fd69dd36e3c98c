"""The device that this process computes on: the one place that decides it for stages."""

import torch


def choose_device() -> torch.device:
    """The GPU if this process sees one, else the CPU. A Ray worker sees only the GPU assigned to
    it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
