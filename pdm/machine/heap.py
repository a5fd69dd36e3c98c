"""Memory that a process frees stays its own, for the next array. Linux with glibc only.

By default glibc gives large blocks back to the system as soon as they are free. A training step
makes and frees arrays of megabytes all the time, and each time the system clears their pages again:
layers whose activations have 4 MB took several times as long as those with 2 MB
(`benchmarks/training.py --only speedup`). Very large blocks still go back at once: kept, they leave
holes that the next ones do not fit, and a training at 2048x1024 grew by gigabytes while it was
scored.
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_* of malloc.h
_LARGEST_BLOCK = 2**26  # blocks up to this size come from the heap
_FREE_BYTES = 2**30  # kept at the end of the heap


def keep_freed_memory() -> None:
    """Keep it from now on. What the user's environment sets (MALLOC_*_THRESHOLD_) is left alone."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    for option, name, size in (
        (_TRIM_THRESHOLD, "TRIM", _FREE_BYTES),
        (_MMAP_THRESHOLD, "MMAP", _LARGEST_BLOCK),
    ):
        if mallopt is not None and f"MALLOC_{name}_THRESHOLD_" not in os.environ:
            mallopt(option, size)
