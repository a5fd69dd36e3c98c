"""Kernel launches of a training step of the UNet for 2048x2048, counted on the meta device.

A step is here a power iteration, forward and backward pass, clipping and EMAs, without AdamW (whose
fused kernel does not run there) and without compilation. Views launch nothing. A foreach call
launches as many kernels as CUDA needs for its tensors. On the meta device attention is not fused
(on a GPU it is), and nothing is converted to bfloat16. No timing: equal figures on every machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.parts.training.default_training import RandomLatents
from benchmarks.parts.training.no_run import NoRun
from benchmarks.shared.networks import to_channels_last
from benchmarks.shared.ratios import Ratio
from pdm import presets
from pdm.registry import build_denoiser, level_shapes_of
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.steps import Steps
from pdm.training.monitoring.cost.example_batches import diffusion_batch
from pdm.training.objectives.losses import FlowLosses

BATCH = 8
# Forward, backward and EMAs of commit 245d186, without clipping and AdamW.
BEFORE = 5_300
# Limits of one launch in ATen/native/cuda/MultiTensorApply.cuh: tensors by number of lists, blocks,
# and values for each block.
MAX_TENSORS, MAX_BLOCKS, CHUNK = (110, 64, 48, 36, 30), 320, 65_536


@dataclass(frozen=True)
class Size:
    preset: str


QUICK = FULL = Size("model-2048x2048")


def measure(size: Size, folder: Path) -> list[Ratio]:
    counter = launches_of_step(size.preset)
    return [
        Ratio(
            "launches_vs_before",
            "kernel launches of a training step at 2048x2048, against the first version (less is "
            "better)",
            counter.total,
            BEFORE,
            "launches",
            (counter.total / BEFORE,),
            "at most 0.25",
            "Without compilation and AdamW; the first version's count leaves out clipping, too.",
        )
    ]


class Step:
    """A training step without values; its spectral norms hand out weights in this precision."""

    def __init__(self, preset: str, precision: Literal["float32", "bfloat16"] = "float32") -> None:
        config = presets.load(preset)
        shapes, downsamplings = level_shapes_of(config.autoencoder)
        channels = tuple(count for count, _, _ in shapes)
        meta = torch.device("meta")
        with meta:
            self.network = to_channels_last(
                build_denoiser(config.diffusion, channels, downsamplings)
            )
            training = replace(config.diffusion.training, precision=precision)
            self.state = TrainState(self.network, training)
            self.losses = FlowLosses(self.network, config.diffusion.level_loss_weights)
            self.batch = diffusion_batch(config.diffusion, shapes, BATCH)
        self.network.train()
        data, run = RandomLatents(), NoRun()  # neither is asked for anything
        self.steps = Steps(self.state, self.losses, data, iter(()), training, run, Workers(meta))

    def run(self) -> None:
        """Take the step."""
        self.state.iterate_spectral_norms()
        self.losses(*self.batch)["loss"].backward()
        self.steps.clip_gradients()
        self.state.rescale_spectral_weights()
        self.state.update_ema(1, BATCH)


def launches_of_step(preset: str) -> "Launches":
    step, counter = Step(preset), Launches()
    with counter:
        step.run()
    return counter


class Launches(TorchDispatchMode):
    """Counts kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self.total = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self.total += _launches(func, args)
        return found


def _launches(func: OpOverload, args: tuple[Any, ...]) -> int:
    name = func.__name__
    view = any(one.alias_info and not one.alias_info.is_write for one in func._schema.returns)
    view = view or torch.Tag.inplace_view in func.tags
    if view or name.startswith(("_unsafe_view", "empty", "new_empty", "detach")):
        return 0
    lists: list[Sequence[Tensor]] = [
        one for one in args if isinstance(one, list | tuple) and _holds_tensors(one)
    ]
    if not name.startswith(("_foreach", "_fused")) or not lists:
        return 1
    if any(one[k].shape != lists[0][k].shape for one in lists[:3] for k in range(len(one))):
        return len(lists[0])  # of unequal shapes: one by one
    blocks = sum(math.ceil(one.numel() / CHUNK) for one in lists[0])
    most = MAX_TENSORS[min(len(lists), len(MAX_TENSORS)) - 1]
    return max(math.ceil(len(lists[0]) / most), math.ceil(blocks / MAX_BLOCKS))


def _holds_tensors(values: Sequence[object]) -> bool:
    return len(values) > 0 and all(isinstance(value, torch.Tensor) for value in values)
