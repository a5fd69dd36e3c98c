"""What `training.compile` does to a step of the UNet for 2048x2048: time to compile, and kernels.

Each kind of block is compiled as in a training (bfloat16, channels_last), one after another, for
one picture, on the CPU; a network of all blocks would not fit into the memory of a small machine.
Kernels are calls in the code that torch generates: fused loops, and calls of libraries. What is
outside of the blocks is counted as in `launches`. A GPU's code may fuse otherwise.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In this process, so that its seconds count.
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import torch
from torch import Tensor, nn
from torch._inductor.utils import run_and_get_code

from benchmarks.common import Ratio, Seconds, timed
from benchmarks.trainings.launches import BEFORE, Launches, Step
from pdm.training.loop.activation_checkpointing import blocks_of
from pdm.training.loop.compilation import _kind, compile_blocks
from pdm.training.loop.power_iteration import SpectralNorms

CPU = torch.device("cpu")
CALLS = re.compile(
    r"^\s+(?:\w+ = )?(?:cpp_fused\w*|triton_\w+|extern_kernels\.\w+|torch\.ops\.(?!inductor)[\w.]+)"
    r"(?:\.run)?\(",
    re.MULTILINE,
)
FREE = ("extern_kernels._", "torch.ops.aten.view", "torch.ops.aten.reshape")


@dataclass(frozen=True)
class Size:
    preset: str


FULL, QUICK = Size("model-2048x2048"), Size("model-tiny")


@dataclass(frozen=True)
class Kind:
    """Equal blocks with equal inputs."""

    block: nn.Module  # without values
    inputs: tuple[torch.Size, ...]
    output: torch.Size


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Time to compile, and kernels of a step against the first version."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)  # nothing is compiled already
    step = Step(size.preset)
    kinds, outside = _kinds(step)
    seconds, kernels = Seconds(0.0, 0.0), 0
    for kind, count in kinds.items():
        found, calls = _compile(kind)
        seconds = Seconds(seconds.wall + found.wall, seconds.cpu + found.cpu)
        kernels += count * calls
    total = outside + kernels
    blocks = f"{sum(kinds.values())} blocks of {len(kinds)} kinds"
    return [
        Ratio(
            "compile_seconds",
            "processor seconds to compile the UNet (three minutes by the clock are allowed)",
            seconds.cpu,
            180.0,
            "s",
            (seconds.cpu,),
            "at most 360 on two cores",
            f"{blocks}, one after another, each with its first pass; {seconds.wall:.0f} s by the "
            "clock. torch compiles on all cores.",
        ),
        Ratio(
            "launches_compiled_vs_before",
            "kernels of a training step with compiled blocks, against the first version",
            total,
            BEFORE,
            "launches",
            (total / BEFORE,),
            "at most 0.25",
            f"{kernels} in {blocks}, {outside} outside of them; see the module for how.",
        ),
    ]


def _kinds(step: Step) -> tuple[Counter[Any], int]:
    """Kinds of blocks, with their numbers, and launches of a step outside of the blocks."""
    numbers: Counter[Any] = Counter()
    first: dict[Any, Kind] = {}

    def note(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes = tuple(torch.Size((1, *one.shape[1:])) for one in inputs)
        key = (_kind(block), shapes)
        first.setdefault(key, Kind(block, shapes, torch.Size((1, *output.shape[1:]))))
        numbers[first[key]] += 1

    for block in blocks_of(step.network):
        block.register_forward_hook(note)
    step.losses(*step.batch)
    for block in blocks_of(step.network):
        block._forward_hooks.clear()
        block.forward = _Stub(block)
    counter = Launches()
    with counter:
        step.run()
    return numbers, counter.total


class _Stub:
    """A block that launches nothing, forward or backward, and gives gradients to its weights."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block

    def __call__(self, *inputs: Tensor) -> Tensor:
        width = self.block.gain.shape[0] if hasattr(self.block, "gain") else inputs[0].shape[1]
        shape = (len(inputs[0]), width, *inputs[0].shape[2:])
        for weight in self.block.parameters():
            weight.grad = torch.empty_like(weight)
        return _Nothing.apply(shape, *inputs)


class _Nothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shape, *inputs):
        ctx.inputs = [(one.shape, one.device) for one in inputs]
        return torch.empty(shape, device=inputs[0].device)

    @staticmethod
    def backward(ctx, *gradients):
        return None, *(torch.empty(shape, device=device) for shape, device in ctx.inputs)


def _compile(kind: Kind) -> tuple[Seconds, int]:
    """Compile a block and run it once; the seconds, and kernels of both passes."""
    torch._dynamo.reset()
    block = kind.block.to_empty(device=CPU).train()
    vars(block).pop("forward", None)
    for tensor in (*block.parameters(), *block.buffers()):
        nn.init.normal_(tensor.data, std=0.02)
    SpectralNorms(block, block).iterate()
    compile_blocks(_Holder(block), CPU)
    inputs = [torch.randn(shape, requires_grad=True) for shape in kind.inputs]
    inputs[0] = inputs[0].detach().contiguous(memory_format=torch.channels_last).requires_grad_()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            output = block(*inputs)
        output.float().square().mean().backward()

    sources: list[str] = []
    seconds = timed(lambda: sources.extend(run_and_get_code(run)[1]))
    block.to("meta")
    calls = (call for source in sources for call in CALLS.findall(source))
    return seconds, sum(not call.strip().startswith(FREE) for call in calls)


class _Holder(nn.Module):
    """A network of one block."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.block_types = (type(block),)
