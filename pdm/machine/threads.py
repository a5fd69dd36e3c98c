"""How many threads compute with torch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


def side_thread(name: str) -> ThreadPoolExecutor:
    """Make an executor of one thread that can compute with torch, without an OpenMP team.

    With two teams there are more threads than cores. From then on OpenMP puts all of them to sleep
    at every barrier, including those of the training step, which then takes half as long again or
    more (GOMP_SPINCOUNT in libgomp's manual; `benchmarks/training.py --only speedup`).

    Args:
        name: Name of the thread, as debuggers show it.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    # A thread copies torch's number of threads when it first asks for it; only then can it have its
    # own number.
    pool.submit(torch.get_num_threads).result()
    pool.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(threads)  # undo the change of the default for new threads
    return pool


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread, so that results are equal to the bit for any number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
