"""Threads of the parts that do not use the one thread that this package leaves to each library."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl
import torch

from benchmarks import OMP_NUM_THREADS


def num_threads() -> int:
    """For parts that use all cores: as many as there are, or what OMP_NUM_THREADS said when the
    command began."""
    return int(OMP_NUM_THREADS or os.cpu_count() or 1)


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Let torch, numpy and scipy use so many threads each for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpoolctl.threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
