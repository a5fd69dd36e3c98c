"""A thread beside the one that trains."""

from concurrent.futures import ThreadPoolExecutor

import torch


def side_thread(name: str) -> ThreadPoolExecutor:
    """One thread that may compute with torch, with no team of threads of its own.

    With two teams more threads compute than there are cores. From then on OpenMP lets all of them
    sleep at every barrier, also those of the training step, which takes half as long again and more
    (GOMP_SPINCOUNT in libgomp's manual; `benchmarks/training.py --only speedup`).

    Args:
        name: Of the thread, for people who look at the process.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    # A thread takes over torch's number of threads when it first asks for it, and can have a number
    # of its own only after that.
    pool.submit(torch.get_num_threads).result()
    pool.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(threads)  # the line above has also changed the default of new threads
    return pool
