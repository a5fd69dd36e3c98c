"""The processes that train together, as one of them sees them. Knows torch's process groups, not
who started them: under no group there is one worker, which is a test or a bare machine.
"""

from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from pdm.config.common import TrainingConfig
from pdm.training.loop.compilation import compile_in_place

Thing = TypeVar("Thing")


class Workers:
    """One worker's view of the group it belongs to.

    Args:
        device: Where this worker computes.
    """

    def __init__(self, device: torch.device) -> None:
        grouped = distributed.is_initialized()
        self.device = device
        self.rank: int = distributed.get_rank() if grouped else 0
        self.count: int = distributed.get_world_size() if grouped else 1
        # Messages between the workers go over the CPU: they never wait for what a GPU computes.
        on_gpu = grouped and device.type == "cuda"
        self.messages = distributed.new_group(backend="gloo") if on_gpu else None

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def wrap(self, network: nn.Module, config: TrainingConfig) -> nn.Module:
        """The network with gradients averaged over the workers; it starts out equal on all.

        Raises:
            Unavailable: It is to be compiled, and there is no compiler.
        """
        if config.compile:
            compile_in_place(network, self.device)
        if self.count == 1 or config.strategy == "fsdp":  # FSDP has been put into its weights
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        # Equal at the start, buffers follow from the weights: they need not be sent each time.
        return nn.parallel.DistributedDataParallel(
            network, device_ids=devices, forward_sync_buffers=False
        )

    def max_over_workers(self, number: int) -> int:
        """The greatest of the workers' numbers. Every worker must call this."""
        if self.count == 1:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self.messages)
        return int(numbers)

    def broadcast_first(self, number: int) -> int:
        """Worker 0's number. Every worker must call this."""
        if self.count == 1:
            return number
        numbers = torch.tensor(number)
        distributed.broadcast(numbers, src=0, group=self.messages)
        return int(numbers)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the workers. Every worker must call this."""
        if self.count > 1:
            distributed.all_reduce(values, distributed.ReduceOp.SUM)
        return values / self.count

    def gather(self, thing: Thing) -> list[Thing]:
        """Every worker's thing, by rank. Every worker must call this."""
        things = [thing] * self.count
        if self.count > 1:
            distributed.all_gather_object(things, thing, group=self.messages)
        return things
