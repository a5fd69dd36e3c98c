"""Kernels of a training step of the UNet for 2048x2048 with compiled blocks (`training.compile`).

Blocks are counted in the code that torch generates for a CPU in bfloat16, forward and backward:
fused loops, and calls of libraries. The code is not compiled, so this takes no compiler and little
time. Blocks that differ in sizes only are counted once. What is outside of the blocks is counted as
in `launches`, on the meta device, with the gradients that blocks hand to it. A GPU's code may fuse
otherwise: a norm there may take two kernels.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch._functorch.config
import torch._inductor.config
from torch import Tensor, nn
from torch._inductor.utils import get_code

from benchmarks.parts.training.launches import BEFORE, Launches, Step
from benchmarks.shared.ratios import Ratio
from pdm.models.layers.spectral_norm import norms_and_weights
from pdm.training.loop.activation_checkpointing import blocks_of
from pdm.training.loop.compilation import compile_blocks, kind_of_block
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

    @property
    def structure(self) -> str:
        """Equal for kinds that differ in sizes only; whether there is dropout is no size."""
        return re.sub(r"\d+", "N", repr(self.block).replace("p=0.0,", "p=none,"))

    def prepare(self) -> tuple[nn.Module, list[Tensor]]:
        """Give the block real values, and compile it when it is first called; give inputs, too."""
        torch._dynamo.reset()
        block = self.block.to_empty(device=CPU).train()
        vars(block).pop("forward", None)
        for tensor in (*block.parameters(), *block.buffers()):
            nn.init.normal_(tensor.data, std=0.02)
        SpectralNorms(block, block, torch.bfloat16).iterate()
        compile_blocks(_Holder(block), CPU)
        inputs = [torch.randn(shape, requires_grad=True) for shape in self.inputs]
        first = inputs[0].detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        return block, [first, *inputs[1:]]


class _Holder(nn.Module):
    """A network of one block."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.block_types = (type(block),)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Kernels of a step against the first version."""
    kinds, outside = kinds_of_blocks(Step(size.preset, "bfloat16"))
    numbers: Counter[str] = Counter()
    for kind, count in kinds.items():
        numbers[kind.structure] += count
    calls = {kind.structure: kind for kind in kinds}
    inside = sum(numbers[name] * _count_calls(kind) for name, kind in calls.items())
    total = outside + inside
    return [
        Ratio(
            "launches_compiled_vs_before",
            "kernels of a training step with compiled blocks, against the first version",
            total,
            BEFORE,
            "launches",
            (total / BEFORE,),
            "at most 0.25",
            f"{inside} in {sum(kinds.values())} blocks of {len(calls)} structures, {outside} "
            "outside of them; see the module for how. Without AdamW.",
        )
    ]


def kinds_of_blocks(step: Step) -> tuple[Counter[Kind], int]:
    """Kinds of blocks, with their numbers, and launches of a step outside of the blocks."""
    numbers: Counter[Kind] = Counter()
    first: dict[Any, Kind] = {}

    def note(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shapes = tuple(torch.Size((1, *one.shape[1:])) for one in inputs)
        numbers[first.setdefault((kind_of_block(block), shapes), Kind(block, shapes))] += 1

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
        gain = getattr(self.block, "gain", None)
        width = inputs[0].shape[1] if gain is None else len(gain)
        shape = (len(inputs[0]), width, *inputs[0].shape[2:])
        pairs = list(norms_and_weights(self.block))
        elsewhere = [weight for _, weight in pairs]  # gradients of these come from outside
        modulation = getattr(self.block, "modulation", None)
        if isinstance(modulation, nn.Module):
            elsewhere += modulation.parameters()
        for weight in self.block.parameters():
            if all(weight is not one for one in elsewhere):
                weight.grad = torch.empty_like(weight)
        if len(inputs) > 2:  # a block with scale and shift does not read the embedding
            inputs = inputs[0], *inputs[2:]
        held = (norm.held for norm, _ in pairs)
        output: Tensor = _Nothing.apply(shape, *inputs, *held)  # type: ignore[no-untyped-call]
        return output


class _Nothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shape: tuple[int, ...], *inputs: Tensor) -> Tensor:
        ctx.inputs = inputs
        return torch.empty(shape, device=inputs[0].device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(torch.empty_like(one) for one in ctx.inputs)


def _count_calls(kind: Kind) -> int:
    """Kernels of both passes of a block."""
    block, inputs = kind.prepare()

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            block(*inputs)

    with (
        torch._inductor.config.patch(force_disable_caches=True),
        torch._functorch.config.patch(force_non_lazy_backward_lowering=True),
    ):
        sources = get_code(run)
    block.to("meta")
    calls = (call for source in sources for call in CALLS.findall(source))
    return sum(not call.strip().startswith(FREE) for call in calls)
