"""Trains rivals for the same time and compares their quality. Takes hours; keeps what it found.

    .venv/bin/python benchmarks/quality.py autoencoder --pictures FOLDER --seconds 240 --seeds 0 1 2
    .venv/bin/python benchmarks/quality.py diffusion --pictures FOLDER --seconds 150 --seeds 0 1 2

Writes docs/results/autoencoder.json (every run, commit and machine) and autoencoder.md (the table),
after each run, and keeps the runs of other designs that are there; for `diffusion` files of that
name. The benchmarks of speed, benchmarks/autoencoder.py and diffusion.py, read them back.

--pictures   A folder of photographs, beside the built-in landscapes; without it, these alone.
--seconds    Of processor time for each training, on one thread.
--images     Instead of --seconds: so many crops for each, which a busy machine cannot spoil.
--seeds      One training of each design for each; designs take turns within a seed.
--only       Designs, by the names of the table; all if left out.
--processes  Trainings at once, each with a thread of its own.
--results    Another folder to keep what was found.
--work       Of `diffusion`: a folder to keep the crops and all that was drawn.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import crops, denoiser_results, denoisers, first_stage_results, first_stages
from benchmarks.common import ROOT, machine
from benchmarks.results import Results, Run

Job = dict[str, Any]
TABLES: dict[str, Callable[[list[Run]], str]] = {
    "autoencoder": first_stage_results.page,
    "diffusion": denoiser_results.page,
}


def main() -> None:
    args = _arguments()
    results = Results(args.results / f"{args.what}.json")
    with _folder(args.work) as folder:
        jobs = _first_stages if args.what == "autoencoder" else _denoisers
        for run in jobs(args, folder):
            print(_said(run), file=sys.stderr, flush=True)
            if not args.try_only:
                results.add(run | {"machine": machine()})
                results.write(args.results / f"{args.what}.md", TABLES[args.what])


def _first_stages(args: argparse.Namespace, folder: Path) -> Iterator[Run]:
    path = _crops(args, folder, args.num_crops // 46, 0)
    designs = args.only or _designs(args.what)
    jobs = [_job(args, design, seed, path) for seed in args.seeds for design in designs]
    yield from _trained("train_first_stage", jobs, args.processes)


def _denoisers(args: argparse.Namespace, folder: Path) -> Iterator[Run]:
    path = _crops(args, folder, args.num_samples, args.num_samples)
    jobs = [
        _job(args, design, seed, path)
        | {
            "source": source,
            "cache": str(folder / "real"),
            "samples": str(folder / f"{design} {source} {seed}.npy") if args.work else None,
        }
        for seed in args.seeds
        for design in args.only or _designs(args.what)
        for source in args.source or crops.load(path)
    ]
    yield from _trained("train_denoiser", jobs, args.processes)


def _job(args: argparse.Namespace, design: str, seed: int, path: Path) -> Job:
    rates = dict(part.split("=") for part in args.learning_rate)
    chosen = first_stages if args.what == "autoencoder" else denoisers
    return {
        "design": design,
        "seed": seed,
        "seconds": args.seconds,
        "images": args.images,
        "learning_rate": float(rates.get(design, chosen.LEARNING_RATE)),
        "crops": str(path),
    }


def _designs(what: str) -> tuple[str, ...]:
    if what == "autoencoder":
        return ("pyramid", *first_stages.RIVALS, *first_stages.ABLATIONS)
    return tuple(denoisers.DESIGNS)


def _crops(args: argparse.Namespace, folder: Path, num_held_out: int, num_unseen: int) -> Path:
    """The file of the crops, made if it is not there."""
    path, count = folder / "crops.npz", args.num_crops
    if not path.exists():
        numbers = (max(4, count // 100), first_stages.SIDE_PX, count, max(4, num_held_out))
        crops.save(crops.crops(args.pictures, *numbers, num_unseen), path)
    return path


def _trained(module: str, jobs: Iterable[Job], processes: int) -> Iterator[Run]:
    """Each in a process of its own, so that its processor time is its own."""

    def train(job: Job) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", json.dumps(job)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found: Run = json.loads(done.stdout.splitlines()[-1])
        return found

    with ThreadPoolExecutor(processes) as pool:
        yield from pool.map(train, jobs)


def _said(run: Run) -> str:
    if "scores" in run:
        said = ", ".join(f"{name} {prefixes[-1]}" for name, prefixes in run["scores"].items())
    else:
        said = f"{run['source']}: " + ", ".join(
            f"{name} {values[denoiser_results.SCORE]:.3f}"
            for name, values in run["distances"].items()
        )
    facts = f"{run['design']}, seed {run['seed']}, learning rate {run['learning_rate']:g}"
    return f"{facts}: {run['images_seen']:,} images; {said}"


@contextlib.contextmanager
def _folder(named: Path | None) -> Iterator[Path]:
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Quality for the same time of training.")
    parser.add_argument("what", choices=list(TABLES))
    parser.add_argument("--pictures", metavar="FOLDER", type=Path)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float)
    length.add_argument("--images", type=int, help="a multiple of the batch sizes, 8 and 32")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num-crops", type=int, default=6000, help="to train on")
    parser.add_argument("--only", action="append", metavar="DESIGN")
    parser.add_argument("--learning-rate", action="append", default=[], metavar="DESIGN=RATE")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", metavar="FOLDER")
    parser.add_argument("--try-only", action="store_true", help="print scores and keep nothing")
    only = parser.add_argument_group("diffusion alone")
    only.add_argument("--num-samples", type=int, default=1024, help="and real crops, each")
    only.add_argument("--source", action="append", choices=["landscapes", "photographs"])
    only.add_argument("--work", type=Path, metavar="FOLDER", help="to keep models and pictures in")
    args = parser.parse_args()
    known = _designs(args.what)
    if args.pictures is not None and not args.pictures.is_dir():
        parser.error(f"--pictures {args.pictures} is no folder")
    for name in args.only or ():
        if name not in known:
            parser.error(f"no design {name!r}; there are {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
