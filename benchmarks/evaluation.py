"""Speed and exactness of the evaluator, against scipy, torchmetrics and a clean-fid style loop.

    .venv/bin/python benchmarks/evaluation.py --json

`benchmarks.shared.command` describes the other options.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("frechet", "moments", "neighbours", "random_features", "replicates", "inputs")

if __name__ == "__main__":
    run("Speed and exactness of the evaluator, against its peers.", "evaluation", PARTS)
