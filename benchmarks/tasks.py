"""What models learn of the tasks, and what latents spare against pixels.

    .venv/bin/python benchmarks/tasks.py --json

`benchmarks.shared.command` describes the other options. The data are small built-in
landscapes; held-out ones are judged. Each part but `latent_vs_pixel` trains an autoencoder and one
diffusion model.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.shared.command import run

PARTS = ("super_resolution", "inpainting", "semantic", "text", "layout", "latent_vs_pixel")

if __name__ == "__main__":
    run("What models learn of each task, on small landscapes.", "tasks", PARTS)
