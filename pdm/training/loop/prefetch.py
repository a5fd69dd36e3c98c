"""Loads batches and moves them to the device while training works on the previous batch."""

from collections.abc import Callable, Generator, Iterable
from typing import Any

import torch
from torch import Tensor

from pdm.threads import side_thread

Batch = tuple[Any, ...]  # tensors, tuples of tensors, and plain numbers


def prefetch_batches(
    load: Callable[[range], Batch], shares: Iterable[range], device: torch.device
) -> Generator[tuple[range, Batch], None, None]:
    """Yield each share's positions and batch, on the device, while the next batch is loading.

    Raises:
        Exception: Any error of `load`, when its batch is due.
    """
    with side_thread("loader") as pool:
        ahead = None
        for positions in shares:
            coming = positions, pool.submit(load, positions)
            if ahead is not None:
                yield ahead[0], move_batch(ahead[1].result(), device)
            ahead = coming
        if ahead is not None:
            yield ahead[0], move_batch(ahead[1].result(), device)


def move_batch(value: Any, device: torch.device) -> Any:
    """Move a batch's tensors to the device, from pinned memory where that is a GPU."""
    if isinstance(value, Tensor):
        pinned = value.pin_memory() if device.type == "cuda" else value
        return pinned.to(device, non_blocking=True)
    if isinstance(value, tuple):
        return tuple(move_batch(part, device) for part in value)
    return value
