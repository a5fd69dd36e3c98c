"""Loads batches ahead of the training, and moves them to its device."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import Any

import torch
from torch import Tensor

from pdm.data.image_tensors import RawImages
from pdm.machine.threads import side_thread
from pdm.models.condition import Condition

Batch = tuple[Any, ...]  # tensors, `RawImages`, `Condition`s, tuples of these, plain numbers
BATCHES_AHEAD = 3  # of a worker's share; evens out pictures that take longer to decode


def prefetch_batches(
    load: Callable[[range], Batch], shares: Iterable[range], device: torch.device
) -> Generator[tuple[range, Batch], None, None]:
    """Yield each share's positions and batch, on the device, while the next batches are loading.

    To a GPU images go as bytes, from pinned memory, and are converted there. For a CPU the loader
    converts them, beside the training.

    Raises:
        Exception: Any error of `load`, when its batch is due.
    """

    def fetch(positions: range) -> Batch:
        batch = load(positions)
        done: Batch = _each(batch, _pin) if device.type == "cuda" else _converted(batch)
        return done

    with side_thread("loader") as pool:
        ahead: deque[tuple[range, Future[Batch]]] = deque()
        try:
            for positions in shares:
                ahead.append((positions, pool.submit(fetch, positions)))
                if len(ahead) > BATCHES_AHEAD:
                    due, batch = ahead.popleft()
                    yield due, move_batch(batch.result(), device)
            while ahead:
                due, batch = ahead.popleft()
                yield due, move_batch(batch.result(), device)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Move a batch's tensors to the device, and convert images that are still bytes there."""
    moved = _each(batch, lambda tensor: tensor.to(device, non_blocking=True))
    done: Batch = _converted(moved)
    return done


def _pin(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_cuda else tensor.pin_memory()


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor of a batch."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, RawImages):
        return RawImages(*(change(part) for part in value))
    if isinstance(value, Condition):
        return value.change(change)
    if isinstance(value, tuple):
        return tuple(_each(part, change) for part in value)
    return value


def _converted(value: Any) -> Any:
    """Convert images that are still bytes, on the device where they are."""
    if isinstance(value, RawImages):
        return value.images()
    return tuple(_converted(part) for part in value) if type(value) is tuple else value
