"""Trains rivals for the same time and compares their quality. Takes hours; keeps what it found.

    .venv/bin/python benchmarks/quality.py autoencoder --pictures FOLDER --seconds 240 --seeds 0 1 2

Writes docs/results/autoencoder.json (every run, commit and machine) and autoencoder.md (the table),
after each run, and keeps the runs of other designs that are there. The benchmark of speed,
benchmarks/autoencoder.py, reads them back.

--pictures  A folder of photographs, beside the built-in landscapes; without it, these alone.
--seconds   Of processor time for each training, on one thread.
--images    Instead of --seconds: so many crops for each, which a busy machine cannot spoil.
--seeds     One training of each design for each; designs take turns within a seed.
--only      Designs, by the names of the table; all if left out.
--results   Another folder to keep what was found.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.common import ROOT, machine
from benchmarks.crops import crops
from benchmarks.first_stages import ABLATIONS, RIVALS, SIDE_PX
from benchmarks.results import Results, autoencoder_table

DESIGNS = ("pyramid", *RIVALS, *ABLATIONS)
LEARNING_RATE = 2e-3


@dataclasses.dataclass(frozen=True)
class Job:
    """One training."""

    design: str
    seed: int
    seconds: float | None
    images: int | None  # one of the two
    learning_rate: float
    crops: str  # the file


def main() -> None:
    args = _arguments()
    results = Results(args.results / "autoencoder.json")
    rates = dict(part.split("=") for part in args.learning_rate)
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        path = Path(folder) / "crops.npz"
        count = args.num_crops
        crops(args.pictures, max(4, count // 100), SIDE_PX, count, max(4, count // 46)).save(path)
        for seed in args.seeds:
            for design in args.only or DESIGNS:
                rate = float(rates.get(design, LEARNING_RATE))
                run = _train(Job(design, seed, args.seconds, args.images, rate, str(path)))
                _say(run)
                if not args.try_only:
                    results.add(run | {"machine": machine()})
                    results.write(args.results / "autoencoder.md", autoencoder_table)


def _say(run: dict[str, Any]) -> None:
    said = ", ".join(f"{name} {prefixes[-1]}" for name, prefixes in run["scores"].items())
    facts = f"{run['design']}, seed {run['seed']}, learning rate {run['learning_rate']:g}"
    print(f"{facts}: {run['images_seen']:,} images; {said}", file=sys.stderr, flush=True)


def _train(job: Job) -> dict[str, Any]:
    """In a process of its own, so that its processor time is its own."""
    command = [sys.executable, "-m", "benchmarks.train_first_stage"]
    done = subprocess.run(
        [*command, json.dumps(dataclasses.asdict(job))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Quality for the same time of training.")
    parser.add_argument("what", choices=["autoencoder"])
    parser.add_argument("--pictures", metavar="FOLDER", type=Path)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float)
    length.add_argument("--images", type=int, help="a multiple of the batch size, 8")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num-crops", type=int, default=6000, help="to train on")
    parser.add_argument("--only", action="append", choices=DESIGNS, metavar="DESIGN")
    parser.add_argument(
        "--learning-rate", action="append", default=[], metavar="DESIGN=RATE", help="2e-3 if unsaid"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", metavar="FOLDER")
    parser.add_argument("--try-only", action="store_true", help="print scores and keep nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
