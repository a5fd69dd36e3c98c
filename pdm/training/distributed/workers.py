"""The group of processes that train together, as one of them sees it. It knows torch's process
groups, not the launcher. Without a process group there is one worker.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from pdm.config.training.loop import TrainingConfig

# A worker fails if the others do not answer for this long. They wait while worker 0 draws and
# scores, which takes minutes at 2048 pixels.
SECONDS_OF_SILENCE = 1800

Item = TypeVar("Item")
Value = TypeVar("Value")


class Workers:
    """One worker's view of the group it belongs to.

    Args:
        device: Device of this worker.
    """

    def __init__(self, device: torch.device) -> None:
        grouped = distributed.is_initialized()
        self.device = device
        self.rank: int = distributed.get_rank() if grouped else 0
        self.count: int = distributed.get_world_size() if grouped else 1
        # Messages between workers go over the CPU, so that they never wait for a GPU.
        on_gpu = grouped and device.type == "cuda"
        self.messages = distributed.new_group(backend="gloo") if on_gpu else None

    @property
    def is_first(self) -> bool:
        """Whether this worker writes the files."""
        return self.rank == 0

    def wrap(self, network: nn.Module, config: TrainingConfig) -> nn.Module:
        """Wrap the network so that gradients are averaged over the workers and all start equal."""
        if self.count == 1 or config.strategy == "fsdp":  # FSDP already wraps the weights
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        # Buffers start equal and follow from the weights, so they need not be sent in every step.
        return nn.parallel.DistributedDataParallel(
            network, device_ids=devices, forward_sync_buffers=False
        )

    def max_over_workers(self, number: int) -> int:
        """Maximum of the workers' numbers. Every worker must call this."""
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

    def gather(self, value: Value) -> list[Value]:
        """The values of all workers, by rank. Every worker must call this."""
        values = [value] * self.count
        if self.count > 1:
            distributed.all_gather_object(values, value, group=self.messages)
        return values

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> list[Value]:
        """Call the function for each item, on one worker each, and give all values on all workers.

        Every worker must call this, with the same items. Values are in the order of the items, and
        do not depend on the number of workers if the function depends on its item only.

        Args:
            function: Its values are pickled, so tensors should be on the CPU.
        """
        shares = self.gather([function(item) for item in items[self.rank :: self.count]])
        return [shares[place % self.count][place // self.count] for place in range(len(items))]
