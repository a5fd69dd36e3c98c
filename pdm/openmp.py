"""How long threads that compute together wait for each other awake. Imports nothing.

libgomp, which torch computes with, lets a thread that waits at a barrier spin for 3 ms. On a busy
machine it then takes the core from the very thread that it waits for. With OMP_WAIT_POLICY=PASSIVE
it sleeps at once, and waking it costs a third of a training step. 50,000 rounds are about half a
millisecond: longer than the parts of a step differ, and too short to hurt
(`benchmarks/training.py --only speedup`).
"""

import os

SETTINGS = {"GOMP_SPINCOUNT": "50000"}


def set_spin_count() -> None:
    """Set it for this process and its children, before torch is imported; the user's own stays."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
