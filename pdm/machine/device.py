"""The device that this process computes on: the one place that decides it for stages, and its name
for the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

logger = logging.getLogger(__name__)


def choose_device() -> torch.device:
    """The GPU if this process sees one, else the CPU. A Ray worker sees only the GPU assigned to
    it."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_device(
    device: torch.device, precision: str = "float32", *, num_workers: int = 1
) -> str:
    """Describe a device in one line, such as "Device: CPU, 2 threads, float32".

    Args:
        device: The device of this process.
        precision: Of the computation, as in the params.
        num_workers: Processes with such a device each; named if there are several.
    """
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        facts = torch.cuda.get_device_properties(index)
        name = f"cuda:{index} {facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    else:
        threads = torch.get_num_threads()
        name = f"CPU, {threads} thread{'s' * (threads > 1)}"
    workers = f", one of {num_workers} workers" if num_workers > 1 else ""
    return f"Device: {name}, {precision}{workers}"


def log_device(device: torch.device, precision: str = "float32", *, num_workers: int = 1) -> None:
    """Log `describe_device`: the first line of each stage that computes with torch."""
    logger.info(describe_device(device, precision, num_workers=num_workers))


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Convolve on a GPU in full float32 and by algorithms that repeat their bits, while the block
    runs: by default it rounds factors to 10 bits (TF32), which scores should not depend on."""
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
