"""Compilation of networks (`training.compile`)."""

import os
import shutil
import sys

from torch import device as Device
from torch import nn

from pdm.errors import Unavailable


def compile_in_place(network: nn.Module, device: Device) -> None:
    """Compile the network by torch.compile; its first pass then takes minutes.

    The names of its weights do not change, so checkpoints fit compiled and uncompiled networks.

    Raises:
        Unavailable: The machine has no compiler for the code that torch generates.
    """
    names = _compilers(device)
    if not any(shutil.which(name) for name in names):
        raise Unavailable(
            f"training.compile is true, but this machine has no compiler ({' or '.join(names)}), "
            "which torch.compile needs; install one, or set it to false"
        )
    network.compile()


def _compilers(device: Device) -> list[str]:
    """Names of usable compilers, as torch (for CPUs) and Triton (for GPUs) look for them."""
    if device.type == "cpu":
        return [os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")]
    return [os.environ["CC"]] if "CC" in os.environ else ["clang", "gcc"]
