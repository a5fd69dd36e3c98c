"""Memory that a process frees stays its own, for the next array. Linux with glibc only.

By default glibc gives large blocks back to the system as soon as they are free. A training step
makes and frees arrays of megabytes all the time, and each time the system clears their pages again:
layers whose activations have 4 MB took several times as long as those with 2 MB
(`benchmarks/training.py --only speedup`).
"""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_* of malloc.h
_BYTES = 2**30  # blocks up to this size come from the heap, which keeps as much when it is free


def keep_freed_memory() -> None:
    """Keep it from now on. What the user's environment sets (MALLOC_*_THRESHOLD_) is left alone."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    for option, name in ((_TRIM_THRESHOLD, "TRIM"), (_MMAP_THRESHOLD, "MMAP")):
        if mallopt is not None and f"MALLOC_{name}_THRESHOLD_" not in os.environ:
            mallopt(option, _BYTES)
