"""Speed of curation and shards, against peers.

    .venv/bin/python benchmarks/curation.py --json

`benchmarks.shared.command` describes the other options.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("drawing", "judging", "reading", "writing", "duplicates", "scaling", "memory")

if __name__ == "__main__":
    run("Speed of curation and shards, against peers.", "curation", PARTS)
