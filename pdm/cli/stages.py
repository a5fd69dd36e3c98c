"""The stages' commands: each from paths and params to one library call.

Paths are flags (dvc.yaml names them), values are in params.yaml. Heavy imports are inside the
functions, so that `pyramid --help` is fast.
"""

import argparse
import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdm import params
from pdm.cli import sizes

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pdm.config.diffusion import DiffusionConfig
    from pdm.training.checkpoints.plan import TrainingPlan
    from pdm.training.monitoring.footprint import Footprint


def scrape(args: argparse.Namespace) -> None:
    """Fetch the images of all sources unchanged, and record the outcome of every URL."""
    from pdm.curation.scrape import scrape

    scrape(
        params.load(args.params).scrape,
        raw=args.raw,
        cache=args.cache,
        models=args.models,
        decisions=args.decisions,
        retry_failed=args.retry_failed,
    )


def curate(args: argparse.Namespace) -> None:
    """Decide which images to keep, and record why the others are dropped."""
    from pdm.curation.curate import curate

    curate(
        params.load(args.params).curate,
        raw=args.raw,
        decisions=args.decisions,
        cache=args.cache,
    )


def shard(args: argparse.Namespace) -> None:
    """Crop the kept images to size; write WebDataset shards and the data report."""
    from pdm.curation.shard import shard

    shard(
        params.load(args.params).shard,
        raw=args.raw,
        decisions=args.decisions,
        shards=args.shards,
        report=args.report,
        cache=args.cache,
    )


@contextmanager
def _track_training(
    stage: str, config: Any, folder: Path, data: Path, model: Path
) -> Iterator[None]:
    """Track the run of a training stage; under `torchrun`, only in the first process."""
    from pdm.tracking import track
    from pdm.training.distributed.launchers import is_first_process

    if not is_first_process():
        yield
        return
    with track(stage, config, events=folder / "events.jsonl", data=data) as tracked:
        yield
        tracked.model(model)


def _print_plan(plan: "TrainingPlan", form: str, predict: "Callable[[], Footprint]") -> None:
    if form == "json":  # read by the flows before every stage, so it must be quick
        print(json.dumps(plan.as_json()))
    elif form == "costs":
        print(json.dumps(plan.as_json() | predict().as_json()))
    else:
        print(plan, flush=True)
        print(predict())


def autoencoder(args: argparse.Namespace) -> None:
    """Train the pyramid autoencoder on the shards."""
    from pdm.training.autoencoder import plan, run_folder, train_autoencoder
    from pdm.training.checkpoints.finished import export_instead_of_training
    from pdm.training.distributed.launchers import choose_launcher
    from pdm.training.monitoring.footprint import autoencoder_footprint

    config = params.load(args.params).autoencoder
    if args.dry_run:
        found = plan(config, shards=args.shards, runs=args.runs, model=args.model)
        _print_plan(found, args.dry_run, lambda: autoencoder_footprint(config))
        return
    folder = run_folder(config, shards=args.shards, runs=args.runs)
    outputs = {"model": args.model, "curves": args.curves}
    if export_instead_of_training("autoencoder", folder, **outputs):
        return
    with _track_training("autoencoder", config, folder, args.shards, args.model):
        train_autoencoder(
            config,
            shards=args.shards,
            run=folder,
            **outputs,
            launch=choose_launcher(args.launcher),
        )


def latents(args: argparse.Namespace) -> None:
    """Encode the shards with the trained autoencoder."""
    from pdm.inference.encode import encode_shards

    encode_shards(
        params.load(args.params).latents,
        shards=args.shards,
        autoencoder=args.autoencoder,
        latents=args.latents,
        num_workers=args.workers,
    )


def diffusion(args: argparse.Namespace) -> None:
    """Train the pyramid UNet on the latents with rectified flow, and tune it for few steps."""
    from pdm.training.checkpoints.finished import export_instead_of_training
    from pdm.training.diffusion import run_folder
    from pdm.training.distillation import plan
    from pdm.training.distributed.launchers import is_under_torchrun
    from pdm.training.monitoring.footprint import footprint_of_latents

    config = params.load(args.params).diffusion
    if args.dry_run:
        found = plan(config, latents=args.latents, runs=args.runs, model=args.model)
        _print_plan(found, args.dry_run, lambda: footprint_of_latents(config, args.latents))
        return
    flow = dataclasses.replace(config, distil=None)
    folder = run_folder(flow, latents=args.latents, runs=args.runs)
    outputs = {"model": args.model, "curves": args.curves}
    exported = export_instead_of_training("diffusion", folder, **outputs)
    if not exported:
        _train_flow(flow, folder, args)
    if config.distil is None:
        return
    if is_under_torchrun() and not exported:
        logger.warning("diffusion: run the same command again to tune the flow for few steps")
        return
    _distil(config, folder, args)


def _train_flow(config: "DiffusionConfig", folder: Path, args: argparse.Namespace) -> None:
    from pdm.evaluation.reference_distance import ReferenceDistance
    from pdm.training.diffusion import train_diffusion
    from pdm.training.distributed.launchers import choose_launcher

    with _track_training("diffusion", config, folder, args.latents, args.model):
        train_diffusion(
            config,
            latents=args.latents,
            autoencoder=args.autoencoder,
            run=folder,
            model=args.model,
            curves=args.curves,
            build_reference_distance=ReferenceDistance,
            launch=choose_launcher(args.launcher),
        )


def _distil(config: "DiffusionConfig", flow_run: Path, args: argparse.Namespace) -> None:
    """Tune the finished flow, unless the run of that has finished, too."""
    from pdm.evaluation.reference_distance import ReferenceDistance
    from pdm.training.checkpoints.finished import export
    from pdm.training.distillation import distil_flow, flow_folder, run_folder
    from pdm.training.distributed.launchers import choose_launcher
    from pdm.weights import FEW_STEPS

    flow = flow_folder(flow_run, args.model)
    folder = run_folder(config, latents=args.latents, flow_run=flow_run, flow=flow)
    if export(folder, args.model):
        return
    with _track_training("diffusion", config, folder, args.latents, args.model / FEW_STEPS):
        distil_flow(
            config,
            latents=args.latents,
            autoencoder=args.autoencoder,
            flow=flow,
            run=folder,
            model=args.model,
            build_reference_distance=ReferenceDistance,
            launch=choose_launcher(args.launcher),
        )


def sample(args: argparse.Namespace) -> None:
    """Sample images from the trained models, one for each seed, with a contact sheet."""
    from pdm.inference.sample import sample_pictures

    with sizes.settings_and_folders(args) as (config, folders):
        # Random weights lie in a temporary folder, which other machines do not see.
        num_workers = 0 if args.untrained else args.workers
        sample_pictures(config, num_workers=num_workers, **folders)


def evaluate(args: argparse.Namespace) -> None:
    """Score samples and reconstructions against held-out images."""
    from pdm.evaluation.evaluate import evaluate
    from pdm.parts.work import call_with_gpu
    from pdm.tracking import track

    config = params.load(args.params).evaluate
    with track("evaluate", config, data=args.shards) as tracked:
        scores = call_with_gpu(
            evaluate,
            config,
            samples=args.samples,
            shards=args.shards,
            autoencoder=args.autoencoder,
            metrics=args.metrics,
            plots=args.plots,
            cache=args.cache,
        )
        tracked.scores(scores)
        tracked.pictures(args.plots, args.metrics, args.samples / "contact-sheet.png")
        tracked.samples(args.samples)
        tracked.candidate(args.autoencoder, args.diffusion)


# name -> (function, its path flags and their defaults, as in dvc.yaml)
STAGES = {
    "scrape": (
        scrape,
        {
            "raw": "data/raw",
            "cache": "runs/scrape",
            "models": "models",
            "decisions": "data/decisions",
        },
    ),
    "curate": (curate, {"raw": "data/raw", "decisions": "data/decisions", "cache": "runs/curate"}),
    "shard": (
        shard,
        {
            "raw": "data/raw",
            "decisions": "data/decisions",
            "shards": "data/shards",
            "report": "reports/data.html",
            "cache": "runs/shard",
        },
    ),
    "autoencoder": (
        autoencoder,
        {
            "shards": "data/shards",
            "runs": "runs/autoencoder",
            "model": "models/autoencoder",
            "curves": "plots/autoencoder.csv",
        },
    ),
    "latents": (
        latents,
        {
            "shards": "data/shards",
            "autoencoder": "models/autoencoder",
            "latents": "data/latents",
        },
    ),
    "diffusion": (
        diffusion,
        {
            "latents": "data/latents",
            "autoencoder": "models/autoencoder",
            "runs": "runs/diffusion",
            "model": "models/diffusion",
            "curves": "plots/diffusion.csv",
        },
    ),
    "sample": (
        sample,
        {
            "autoencoder": "models/autoencoder",
            "diffusion": "models/diffusion",
            "shards": "data/shards",
            "samples": "samples",
        },
    ),
    "evaluate": (
        evaluate,
        {
            "samples": "samples",
            "shards": "data/shards",
            "autoencoder": "models/autoencoder",
            "diffusion": "models/diffusion",
            "metrics": "metrics.json",
            "plots": "plots/evaluation",
            "cache": "runs/evaluate",
        },
    ),
}
