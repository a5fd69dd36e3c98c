"""Draws the pictures of docs/tasks.md: what small models of each task draw.

    .venv/bin/python benchmarks/task_pictures.py --models FOLDER --output docs/results/tasks

One autoencoder and a model for each task are trained at 128x64 on built-in landscapes, into FOLDER;
what an earlier call has trained there is taken as it is. All pictures show held-out landscapes or
new seeds, unselected. --only NAME draws one task; --quick tests that it runs.
"""

import argparse
import logging
import sys
import time
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.sheets import SHEETS
from benchmarks.parts.tasks.world import Size

QUICK = Size(8, 4, 16, 16, 2)
FULL = Size(1000, 24, 6400, 25_600, 40)


def main() -> None:
    args = _arguments()
    size = QUICK if args.quick else FULL
    model = "model-tiny" if args.quick else None
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.output.mkdir(parents=True, exist_ok=True)
    base = world.params_of(size, model, "task-inpainting")  # its latents suit every task
    began = time.monotonic()
    stage = world.train_first_stage(size, base, args.models)
    print(f"first stage: {time.monotonic() - began:.0f} s", flush=True)
    for name in args.only or SHEETS:
        preset, draw_sheet = SHEETS[name]
        began = time.monotonic()
        config = world.params_of(size, model, preset)
        built = world.train_task(config, stage, args.models / (name if preset else "unconditional"))
        trained = time.monotonic() - began
        path = args.output / f"{name}.jpg"
        draw_sheet(built).save(path, quality=88, optimize=True)
        print(f"{path}: trained {trained:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Pictures of each task, by small models.")
    parser.add_argument("--models", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--output", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--only", action="append", choices=list(SHEETS))
    parser.add_argument("--quick", action="store_true", help="test that it runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
