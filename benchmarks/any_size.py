"""Pictures larger than trained: calls and time of the network, memory, and seams, in all modes.

    .venv/bin/python benchmarks/any_size.py --json

`benchmarks.shared.command` describes the other options.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("calls", "repeated_tiles", "enlarging_memory", "seams", "other_seams", "aspect_ratios")

if __name__ == "__main__":
    run("Pictures larger than trained, tile by tile.", "any_size", PARTS)
