"""Speed of trainings, and the costs of checkpoints, of resuming and of a lost worker.

    .venv/bin/python benchmarks/training.py --json

`benchmarks.shared.command` describes the other options.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = (
    *("feeding", "speedup", "launches", "compiled_launches", "compiling"),
    *("stall", "resuming", "recovery", "sharded_memory"),
)

if __name__ == "__main__":
    run("Speed, checkpoint stall, resume and recovery of a training.", "training", PARTS)
