"""Sets how long the threads of a computation spin while they wait. Imports nothing heavy.

libgomp, which torch computes with, lets a thread spin at a barrier for 3 ms. On a busy machine it
takes the core from the thread that it is waiting for. With OMP_WAIT_POLICY=PASSIVE it sleeps at
once, and waking it costs a third of a training step. 50,000 spins take about half a millisecond:
longer than the threads of a step differ, and too short to hurt (`benchmarks/training.py --only
speedup`).
"""

import os

SETTINGS = {"GOMP_SPINCOUNT": "50000"}


def set_spin_count() -> None:
    """Set the spin count for this process and its children, unless the user has. Call it before
    importing torch."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
