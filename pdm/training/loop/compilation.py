"""Compiled networks (`training.compile`)."""

import os
import shutil
import sys

from torch import device as Device
from torch import nn

from pdm.errors import Unavailable


def compile_in_place(network: nn.Module, device: Device) -> None:
    """Let torch.compile make kernels of the network at its first pass, for which minutes pass.

    The names of its weights stay as they are, so that checkpoints fit with and without.

    Raises:
        Unavailable: There is no compiler for what torch writes.
    """
    names = _compilers(device)
    if not any(shutil.which(name) for name in names):
        raise Unavailable(
            f"training.compile is true, but this machine has no compiler ({' or '.join(names)}), "
            "which torch.compile needs; install one, or set it to false"
        )
    network.compile()


def _compilers(device: Device) -> list[str]:
    """Names of which one is enough, as torch (for CPUs) and Triton (for GPUs) look for them."""
    if device.type == "cpu":
        return [os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")]
    return [os.environ["CC"]] if "CC" in os.environ else ["clang", "gcc"]
