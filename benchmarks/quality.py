"""Trains designs for the same processor time and compares their quality. Takes hours.

    .venv/bin/python benchmarks/quality.py autoencoder --pictures FOLDER --seconds 240 --seeds 0 1 2
    .venv/bin/python benchmarks/quality.py diffusion --pictures FOLDER --seconds 150 --seeds 0 1 2

After each run it writes docs/results/autoencoder.json (every run, its commit and machine) and
autoencoder.md (the tables), or diffusion.json and diffusion.md. A run replaces an earlier one of
the same design, source, length and seed. The benchmarks of speed, benchmarks/autoencoder.py and
diffusion.py, also print the ratios of these runs.

--pictures   Folder of photographs to use beside the built-in landscapes.
--seconds    Processor time of each training, on one thread.
--images     Number of crops of each training, instead of --seconds; independent of the machine.
--seeds      Each design is trained once for each seed; designs take turns within a seed.
--only       Designs, by their names in the table; default: all.
--processes  Number of trainings that run at once, each on its own thread.
--results    Folder for the results, instead of docs/results.
--work       `diffusion` only: folder that keeps the crops and the samples.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.designs import crops, denoiser_results, denoisers, first_stage_results, first_stages
from benchmarks.designs.jobs import Job, run_jobs
from benchmarks.designs.results import Results, Run
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.machine import machine

TABLES: dict[str, Callable[[list[Run]], str]] = {
    "autoencoder": first_stage_results.page,
    "diffusion": denoiser_results.page,
}


def main() -> None:
    args = _arguments()
    results = Results(args.results / f"{args.what}.json")
    with _work_folder(args.work) as folder:
        jobs = _train_first_stages if args.what == "autoencoder" else _train_denoisers
        for run in jobs(args, folder):
            print(_summary_line(run), file=sys.stderr, flush=True)
            if not args.try_only:
                results.add(run | {"machine": machine()})
                results.write(args.results / f"{args.what}.md", TABLES[args.what])


def _train_first_stages(args: argparse.Namespace, folder: Path) -> Iterator[Run]:
    path = _crops(args, folder, args.num_crops // 46, 0)
    designs = args.only or _designs(args.what)
    jobs = [_job(args, design, seed, path) for seed in args.seeds for design in designs]
    yield from run_jobs("train_first_stage", jobs, args.processes)


def _train_denoisers(args: argparse.Namespace, folder: Path) -> Iterator[Run]:
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
    yield from run_jobs("train_denoiser", jobs, args.processes)


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
        return ("pyramid", *first_stages.BASELINES, *first_stages.ABLATIONS)
    return tuple(denoisers.DESIGNS)


def _crops(args: argparse.Namespace, folder: Path, num_held_out: int, num_unseen: int) -> Path:
    """The file of the crops; cut and written if it is missing."""
    numbers = (first_stages.SIDE_PX, args.num_crops, num_held_out, num_unseen)
    pictures = crops.pictures_in(args.pictures)
    return crops.cut_once(folder / "crops.npz", pictures, *numbers)


def _summary_line(run: Run) -> str:
    if "scores" in run:
        scores = ", ".join(f"{name} {prefixes[-1]}" for name, prefixes in run["scores"].items())
    else:
        scores = f"{run['source']}: " + ", ".join(
            f"{name} {values[denoiser_results.SCORE]:.3f}"
            for name, values in run["distances"].items()
        )
    facts = f"{run['design']}, seed {run['seed']}, learning rate {run['learning_rate']:g}"
    return f"{facts}: {run['images_seen']:,} images; {scores}"


@contextlib.contextmanager
def _work_folder(named: Path | None) -> Iterator[Path]:
    if named is not None:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        yield Path(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare quality after the same training time.")
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
    parser.add_argument("--try-only", action="store_true", help="print scores, write no results")
    only = parser.add_argument_group("diffusion alone")
    only.add_argument("--num-samples", type=int, default=1024, help="and real crops, each")
    only.add_argument("--source", action="append", choices=["landscapes", "photographs"])
    only.add_argument("--work", type=Path, metavar="FOLDER", help="keep crops and samples here")
    args = parser.parse_args()
    known = _designs(args.what)
    if args.pictures is not None and not args.pictures.is_dir():
        parser.error(f"--pictures {args.pictures} is not a folder")
    for name in args.only or ():
        if name not in known:
            parser.error(f"no design {name!r}; there are {', '.join(known)}")
    return args


if __name__ == "__main__":
    main()
