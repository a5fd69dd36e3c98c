"""What DistributedDataParallel costs in a group of one process."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch._C._distributed_c10d import FileStore

from benchmarks.parts.gpu.clock import seconds_of
from benchmarks.parts.gpu.rows import Row
from benchmarks.parts.gpu.sizes import Size, build_unet
from benchmarks.parts.gpu.training import Latents, to_device
from pdm.training.objectives.losses import FlowLosses


def ddp_of_one(size: Size, device: torch.device) -> Iterator[Row]:
    """Forward and backward pass of the UNet, wrapped and not."""
    losses = FlowLosses(build_unet(size, device), size.diffusion.level_loss_weights)
    batch = to_device(Latents(size).load(range(size.diffusion.training.batch_size)), device)
    plain = seconds_of(_step(losses, batch, device), device, size.repeats)
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=FileStore(str(Path(folder) / "store"), 1),
            rank=0,
            world_size=1,
            timeout=timedelta(seconds=60),
        )
        try:
            devices = [device] if device.type == "cuda" else None
            wrapped = nn.parallel.DistributedDataParallel(
                losses, device_ids=devices, forward_sync_buffers=False
            )
            seconds = seconds_of(_step(wrapped, batch, device), device, size.repeats)
        finally:
            distributed.destroy_process_group()
    yield Row(
        "ddp_of_one_time",
        "forward and backward pass of the UNet: DDP of one process over none",
        seconds / plain,
        "times",
        "below 1.05" if device.type == "cuda" else "",
        f"{1000 * seconds:.4g} ms and {1000 * plain:.4g} ms",
    )


def _step(losses: nn.Module, batch: Any, device: torch.device) -> Callable[[], None]:
    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = losses(*batch)["loss"]
        loss.backward()
        losses.zero_grad(set_to_none=True)

    return step
