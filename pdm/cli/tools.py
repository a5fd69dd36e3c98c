"""The other commands: to run and schedule the stages, for params, and to inspect results.

Those for models are in `models`. Heavy imports are inside the functions.
"""

import argparse
import os
import shutil
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
