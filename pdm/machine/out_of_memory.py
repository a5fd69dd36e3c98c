"""Too little memory, as an error that says what to change."""

import contextlib
from collections.abc import Iterator

import torch

from pdm.errors import Unavailable

ALLOCATOR = "DefaultCPUAllocator"  # in the text of torch's error where a CPU runs out of memory


@contextlib.contextmanager
def explain_out_of_memory(device: torch.device, task: str, advice: str) -> Iterator[None]:
    """Turn an out-of-memory error in the block into advice on what to change.

    Args:
        device: Where the block computes.
        task: What the memory was for, such as "to score 16 images".
        advice: What to change.

    Raises:
        Unavailable: The device or its host had too little memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _unavailable(device, task, advice, error) from error
    except RuntimeError as error:
        if ALLOCATOR not in str(error):
            raise
        raise _unavailable(device, task, advice, error) from error


def _unavailable(device: torch.device, task: str, advice: str, error: BaseException) -> Unavailable:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Unavailable(f"{device} has too little memory {task} ({reason}); {advice}")
