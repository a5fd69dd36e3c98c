"""The stages' commands: each from paths and params to one library call.

Paths are flags (dvc.yaml names them), values are in params.yaml. Heavy imports are inside the
functions, so that `pyramid --help` is fast, and after the params, so that a fault in these is
reported at once.
"""

import argparse

from pdm import params
from pdm.cli import sizes
from pdm.cli.training_stages import autoencoder, diffusion
from pdm.errors import BadInput


def scrape(args: argparse.Namespace) -> None:
    """Fetch the images of all sources unchanged, and record the outcome of every URL."""
    if args.only_errors and not args.retry_failed:
        raise BadInput("--only-errors chooses among what failed before; add --retry-failed")
    if args.max_failed_runs and not args.retry_failed:
        raise BadInput("--max-failed-runs chooses among what failed before; add --retry-failed")
    config = params.load(args.params).scrape
    from pdm.curation.scrape import scrape

    scrape(
        config,
        raw=args.raw,
        cache=args.cache,
        models=args.models,
        decisions=args.decisions,
        retry_failed=args.retry_failed,
        only_errors=args.only_errors,
        max_failed_runs=args.max_failed_runs,
    )


def curate(args: argparse.Namespace) -> None:
    """Decide which images to keep, and record why the others are dropped."""
    config = params.load(args.params).curate
    from pdm.curation.curate import curate

    curate(
        config,
        raw=args.raw,
        decisions=args.decisions,
        cache=args.cache,
    )


def shard(args: argparse.Namespace) -> None:
    """Crop the kept images to size; write WebDataset shards and the data report."""
    config = params.load(args.params).shard
    from pdm.curation.shard import shard

    shard(
        config,
        raw=args.raw,
        decisions=args.decisions,
        shards=args.shards,
        report=args.report,
        table=args.table,
        cache=args.cache,
    )


def latents(args: argparse.Namespace) -> None:
    """Encode the shards with the trained autoencoder."""
    config = params.load(args.params).latents
    from pdm.inference.encode import encode_shards

    encode_shards(
        config,
        shards=args.shards,
        autoencoder=args.autoencoder,
        latents=args.latents,
        num_workers=args.workers,
    )


def sample(args: argparse.Namespace) -> None:
    """Sample images from the trained models, one for each seed, with a contact sheet."""
    with sizes.settings_and_folders(args) as (config, folders):
        from pdm.inference.sample import sample_images

        # Random weights lie in a temporary folder, which other machines do not see.
        num_workers = 0 if args.untrained else args.workers
        sample_images(config, num_workers=num_workers, **folders)


def evaluate(args: argparse.Namespace) -> None:
    """Score samples and reconstructions against held-out images."""
    config = params.load(args.params).evaluate
    from pdm.evaluation.evaluate import check_inputs, evaluate
    from pdm.parallel.run import call_with_gpu
    from pdm.tracking.track import track

    # Before tracking, so that a missing input leaves no failed run.
    check_inputs(config, samples=args.samples, shards=args.shards, autoencoder=args.autoencoder)
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
        tracked.log_scores(scores)
        tracked.log_pictures(args.plots, args.metrics, args.samples / "contact-sheet.png")
        tracked.log_samples(args.samples)
        tracked.register_candidate(args.autoencoder, args.diffusion)


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
            "table": "data/images.parquet",
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
