"""How fast trainings are, and what keeping, resuming and losing one costs, in one table.

    .venv/bin/python benchmarks/training.py --json

What else it takes stands in `benchmarks.command`.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.command import run

PARTS = ("speedup", "stall", "resuming", "recovery")

if __name__ == "__main__":
    run("Speed, checkpoint stall, resume and recovery of a training.", PARTS)
