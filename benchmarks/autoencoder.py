"""The pyramid autoencoder against that of diffusers: speed, memory with tiles, and quality.

    .venv/bin/python benchmarks/autoencoder.py --json

`benchmarks.shared.command` describes the other options.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("decoding", "tiles", "full_size", "kept_quality")

if __name__ == "__main__":
    run("Speed and memory of the autoencoder, against diffusers'.", "autoencoder", PARTS)
