"""The pyramid autoencoder against diffusers': speed, what tiles save, and quality, in one table.

    .venv/bin/python benchmarks/autoencoder.py --json

What else it takes stands in `benchmarks.command`.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.command import run

PARTS = ("decoding", "tiles", "full_size", "kept_quality")

if __name__ == "__main__":
    run("Speed and memory of the autoencoder, against diffusers'.", PARTS)
