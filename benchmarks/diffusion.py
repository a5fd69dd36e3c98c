"""Costs of the pyramid diffusion model, against its peers.

    .venv/bin/python benchmarks/diffusion.py --json

`benchmarks.shared.command` describes the other options. It needs torch, and diffusers for the
peers.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("evaluations", "flops", "denoising", "kept_distances", "few_steps")

if __name__ == "__main__":
    run("Costs of the pyramid diffusion model, against its peers'.", "diffusion", PARTS)
