"""The commands for models, and for trials of a training. Heavy imports are inside the functions."""

import argparse
import signal

from pdm import params


def rehearse(args: argparse.Namespace) -> None:
    """Run every stage at its real size on a few images, and print time, memory and disk space."""
    from pdm.rehearsal import results
    from pdm.rehearsal.rehearse import rehearse

    # Like ctrl-C, so that the running stage and the folder do not outlive this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    limit = int(args.max_memory * 2**30) if args.max_memory else None
    steps = rehearse(
        args.preset, args.params, pictures=args.pictures, keep=args.keep, max_bytes=limit
    )
    print(results.heading(), flush=True)
    for result in steps:
        if isinstance(result, results.Row):
            print(results.line_of(result), flush=True)
            continue
        if text := results.conclusion(result):
            print(text)
        if args.json:
            print(results.as_json(result))
        results.raise_failure(result)


def untrained(args: argparse.Namespace) -> None:
    """Write both models with random weights, to see what their size costs."""
    config = params.load(args.params)
    from pdm.inference.untrained import write_untrained

    write_untrained(config, autoencoder=args.autoencoder, diffusion=args.diffusion)


def export_autoencoder(args: argparse.Namespace) -> None:
    """Write the autoencoder of a checkpoint."""
    config = params.load(args.params).autoencoder
    from pdm.training.export import export_autoencoder

    choice = {"run": args.run, "images_seen": args.images, "model": args.model}
    print(export_autoencoder(config, shards=args.shards, runs=args.runs, **choice))


def export_diffusion(args: argparse.Namespace) -> None:
    """Write the diffusion model of a checkpoint."""
    config = params.load(args.params).diffusion
    from pdm.training.export import export_diffusion

    choice = {"run": args.run, "images_seen": args.images, "model": args.model}
    print(export_diffusion(config, latents=args.latents, runs=args.runs, **choice))


def export_diffusers(args: argparse.Namespace) -> None:
    """Write both models as a pipeline folder that diffusers loads."""
    from pdm.cli.pictures.models import find_models
    from pdm.pipelines.export import export_diffusers

    with find_models(args) as (models, config):
        print(export_diffusers(config, models=models, output=args.output, kind=args.kind))


def import_stablesr(args: argparse.Namespace) -> None:
    """Make a folder of models, for --models and --enlarger, of StableSR's published weights."""
    from pdm.baselines.stablesr.importing import Published, import_stablesr

    published = Published(
        files=args.files,
        wrapping=args.cfw,
        fusion_weight=args.fusion,
        predicts=args.predicts,
        size_px=args.tile,
        steps=args.steps,
    )
    import_stablesr(published, args.output)
    print(args.output)


def import_first_stage(args: argparse.Namespace) -> None:
    """Make a model folder of a first stage of diffusers, and print the lines of params.yaml that
    start from it."""
    from pdm.baselines.diffusers_folders import import_first_stage

    made = import_first_stage(args.folder, args.output)
    print(f"{made.folder}\n\n{made.params}")


def ema(args: argparse.Namespace) -> None:
    """Compare EMAs of several lengths of a trained model, to choose sample.ema_length."""
    config = params.load(args.params)
    from pdm.evaluation.learned_distance import LearnedDistance
    from pdm.evaluation.reference_distance import ReferenceDistance
    from pdm.inference.ema_lengths import Judge, score_ema_lengths

    names = (each.network for each in config.evaluate.features)
    judges: list[Judge] = [ReferenceDistance(), *(LearnedDistance(name) for name in names if name)]
    folders = {name: getattr(args, name) for name in ("latents", "autoencoder", "diffusion")}
    lengths = [None, *args.lengths]
    for row in score_ema_lengths(config.sample, lengths, args.num_images, judges, **folders):
        title = "model file" if row.length is None else f"{row.length:g}"
        scores = "  ".join(f"{name} {value:.4f}" for name, value in row.distances.items())
        print(f"ema_length {title:<10}  {scores}", flush=True)


def list_networks(args: argparse.Namespace) -> None:
    """List the networks that can be made."""
    from pdm.models.features.variants import list_networks

    print("\n".join(list_networks()))


def make_network(args: argparse.Namespace) -> None:
    """Write a network as a TorchScript file, and print the lines of params.yaml that name it."""
    from pdm.models.features.torchscript import make_network

    made = make_network(args.name, args.purpose, args.output)
    print(f"{made.path}\nsha256 {made.sha256}\n\n{made.params}")
