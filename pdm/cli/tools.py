"""The other commands: to run and schedule the stages, and to inspect their results."""

import argparse
import os
import shutil
import signal
import sys

from pdm import params
from pdm.errors import BadInput


def run(args: argparse.Namespace) -> None:
    """Run every stage that is not up to date, in order."""
    _replace_by_flows("run", *_keep_models(args))


def serve(args: argparse.Namespace) -> None:
    """Run the pipeline on a schedule until stopped."""
    _replace_by_flows("serve", "--cron", args.cron, *_keep_models(args))


def _keep_models(args: argparse.Namespace) -> list[str]:
    return ["--keep-models"] if args.keep_models else []


def _replace_by_flows(*words: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", "flows", *words])


def check_params(args: argparse.Namespace) -> None:
    """Check that all values in params.yaml fit, and that prompts and vocabulary are as it says."""
    from pdm.params.files import check_files

    check_files(params.load(args.params))
    print(f"{args.params}: all values fit")


def show_params(args: argparse.Namespace) -> None:
    """List all keys with value, type, limits and meaning, or those of a section or key."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from pdm.params.describe import describe

    if args.changed is not None:
        _show_changes(args)
        return
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for key in describe(args.params, args.key):
        section = "." not in key.name
        line = Text(key.name, style="bold underline" if section else "bold")
        line.append("" if section else f": {'-' if key.value is None else key.value}", "not bold")
        console.print(line, overflow="ellipsis", no_wrap=console.is_terminal)
        if not section:
            text = Text(key.meaning).append(f"  ({key.type})", style="dim")
            # A Text, since rich takes brackets in a plain string for its markup.
            plain = Text("    ").append(text.plain)
            console.print(Padding(text, (0, 0, 0, 4)) if console.is_terminal else plain)


def _show_changes(args: argparse.Namespace) -> None:
    """List the values that differ from the default ones, or from a preset's."""
    from pdm import presets
    from pdm.params.describe import list_changes
    from pdm.params.keys import DEFAULT

    is_default = args.changed == "default"
    base = DEFAULT.read_text("utf-8") if is_default else presets.preset_text(args.changed, None)
    changes = list_changes(args.params, base, args.key)
    same = f"{args.params}: every value is that of the {args.changed} params"
    print("\n".join(changes) if changes else same)


def upgrade_params(args: argparse.Namespace) -> None:
    """Bring params.yaml to this version: rename old keys, add new ones, keep your values."""
    from pdm.files import write_text
    from pdm.params.keys import DEFAULT
    from pdm.params.upgrade import upgrade

    text, changes = upgrade(params.read(args.params), DEFAULT.read_text(encoding="utf-8"))
    for change in changes:
        print(f"{args.params}: {change}")
    if changes:
        write_text(args.params, text)
    else:
        print(f"{args.params}: already has all keys of this version")
    params.load(args.params)


def doctor(args: argparse.Namespace) -> None:
    """Check whether this machine can run the pipeline: packages, params, disk, services."""
    import json

    from pdm.doctor.doctor import examine
    from pdm.doctor.finding import raise_for

    findings = []
    for finding in examine(args.params):
        findings.append(finding)
        if not args.json:
            # A text of several lines, such as that of the params, stays in its column.
            text = finding.text.replace("\n", "\n" + " " * 21)
            print(f"{finding.status:<7}  {finding.name:<11} {text}", flush=True)
    if args.json:
        print(json.dumps([finding.as_dict() for finding in findings], indent=2))
    raise_for(findings)


def preset(args: argparse.Namespace) -> None:
    """Write a params file for a kind of data or a size of model, or list the presets."""
    from pdm import presets

    if args.name is None:
        for option, value in (("output", args.output), ("from", args.base), ("force", args.force)):
            if value:
                raise BadInput(f"--{option} requires the name of a preset")
        known = presets.descriptions()
        for name, description in known.items():
            print(f"{name:<{max(map(len, known))}} {description}")
        return
    text = presets.preset_text(args.name, args.base)
    if args.output is None:
        print(text, end="")
    else:
        presets.write_preset(text, args.output, force=args.force)
    if args.base is not None:
        presets.check_fits(text, args.name, args.output)


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


def verify(args: argparse.Namespace) -> None:
    """Read raw data, shards and latents again, and list all damage."""
    from pdm.data.verification.verify import verify

    print(verify(args.folders))


def removed(args: argparse.Namespace) -> None:
    """List the data and models that hold, or were trained on, withdrawn images."""
    from pdm.curation.scrape.removal.takedown import report_removed

    path = args.removals or params.load(args.params).scrape.removed
    print(report_removed(path, args.folders, raw=args.raw, decisions=args.decisions))


def explain(args: argparse.Namespace) -> None:
    """Explain why one image was kept or dropped, with every score and its limit."""
    from pdm.curation.curate.explain import explain

    print(explain(args.name, decisions=args.decisions, shards=args.shards))


def scores(args: argparse.Namespace) -> None:
    """Show the scores of the last evaluation, with intervals and floors."""
    from pdm.comparison.scores import scores_json, scores_text

    show = scores_json if args.json else scores_text
    print(show(args.metrics, only_headline=args.headline))


def compare(args: argparse.Namespace) -> None:
    """Compare runs: a table here, and a page with curves and samples."""
    from pdm.comparison.compare import compare
    from pdm.comparison.table import WIDTH

    width = shutil.get_terminal_size((WIDTH, 24)).columns
    choice = {"experiment": args.experiment, "num_best": args.best}
    print(compare(args.runs, **choice, output=args.output, width=width))


def lineage(args: argparse.Namespace) -> None:
    """Trace a sample back to its seed, models, runs, data, URLs and licences."""
    from pdm.lineage.formats import as_json, as_text
    from pdm.lineage.trace import Places, trace

    places = Places(args.models, args.samples, args.runs, args.decisions, args.shards)
    found = trace(args.picture, places)
    print(as_json(found) if args.json else as_text(found, listed=args.list))


def sync(args: argparse.Namespace) -> None:
    """Send runs that MLflow could not be reached for: params, metrics, files and models."""
    from pdm.tracking.sync import sync

    print(sync(args.runs))
