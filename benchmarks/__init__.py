"""Benchmarks: each prints one table, side by side with a peer, and compares the outputs.

Importing this package, before numpy and others are loaded, gives every library one thread, ours
and the peers' alike.
"""

import os

for _library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "RAYON"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
