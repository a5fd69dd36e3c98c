"""Compilation of networks (`training.compile`), block by block.

Blocks of one kind share one compiled function, so a network of many equal blocks is compiled in
the time of a few, and what changes from step to step (levels, crops, losses) lies outside of them.
Between the blocks the network runs as without compilation.
"""

import functools
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import device as Device
from torch import nn

from pdm.config.training.loop import TrainingConfig
from pdm.errors import Unavailable
from pdm.training.loop.activation_checkpointing import blocks_of, checkpoint_activations

Backend = str | Callable[..., Any]
# Shapes of inputs that a kind of block may be compiled for; more run without compilation, which
# torch warns of. One kind occurs at a few resolutions, and in scoring.
MAX_SHAPES = 32


def prepare_blocks(model: nn.Module, config: TrainingConfig, device: Device) -> None:
    """Compile the blocks of a network, and let them recompute activations, as the config asks.

    Copy the model before, not after.

    Raises:
        Unavailable: As `compile_blocks`.
    """
    if config.compile:
        compile_blocks(model, device)
    if config.checkpoint_activations:  # around the compiled functions
        checkpoint_activations(model)


def compile_blocks(model: nn.Module, device: Device, backend: Backend = "inductor") -> None:
    """Compile the `block_types` of a network by torch.compile; the first pass then takes minutes.

    The names of its weights do not change, so checkpoints fit compiled and uncompiled networks.
    Copy the model before, not after.

    Args:
        model: The network under training.
        device: Its device.
        backend: Of torch.compile.

    Raises:
        Unavailable: The machine has no compiler for the code that torch generates.
        ValueError: The network declares no `block_types`.
    """
    check_compiler(device)
    compile_function: Any = torch.compile  # torch's own types lack two of the arguments below
    dynamic = getattr(model, "sizes_vary", False)
    functions: dict[Any, Callable[..., Any]] = {}
    for block in blocks_of(model):
        kind = kind_of_block(block)
        if kind not in functions:
            functions[kind] = compile_function(
                type(block).forward,
                backend=backend,
                dynamic=dynamic,
                # A cache for each kind: torch looks for a match in all of a function's.
                isolate_recompiles=True,
                recompile_limit=MAX_SHAPES,
            )
        block.forward = functools.partial(functions[kind], block)


def kind_of_block(block: nn.Module) -> tuple[Any, ...]:
    """What equal blocks have in common: their class, layers and shapes of weights."""
    shapes = tuple((name, tensor.shape) for name, tensor in block.state_dict().items())
    return type(block), repr(block), shapes


def check_compiler(device: Device) -> None:
    """Look for the compiler that torch.compile needs.

    Raises:
        Unavailable: There is none.
    """
    names = _compilers(device)
    if not any(shutil.which(name) for name in names):
        raise Unavailable(
            f"training.compile is true, but this machine has no compiler ({' or '.join(names)}), "
            "which torch.compile needs; install one, or set it to false"
        )


def _compilers(device: Device) -> list[str]:
    """Names of usable compilers, as torch (for CPUs) and Triton (for GPUs) look for them."""
    if device.type == "cpu":
        return [os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")]
    return [os.environ["CC"]] if "CC" in os.environ else ["clang", "gcc"]
