"""The command `pyramid`: one subcommand per stage, each from paths and params to one library call.

Paths are flags (dvc.yaml names them), values are in params.yaml. Heavy imports stay inside the
functions, so that `pyramid --help` is quick.
"""

import argparse
import ctypes
import errno
import logging
import os
import signal
import sys
import traceback
from pathlib import Path

from pdm import __version__, params
from pdm.errors import INTERRUPTED, BadInput, PyramidError, Unavailable

# Full (EFBIG: a limit on the size of files, by `ulimit -f`), failing, or mounted read-only.
DISK_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)


def scrape(args: argparse.Namespace) -> None:
    """Fetch the images that the sources name, unchanged, with one row for every URL."""
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
    """Judge every image: keep it, or drop it for a reason that is written down."""
    from pdm.curation.curate import curate

    curate(
        params.load(args.params).curate,
        raw=args.raw,
        decisions=args.decisions,
        cache=args.cache,
    )


def shard(args: argparse.Namespace) -> None:
    """Crop the kept images to the exact size and write WebDataset shards and the data report."""
    from pdm.curation.shard import shard

    shard(
        params.load(args.params).shard,
        raw=args.raw,
        decisions=args.decisions,
        shards=args.shards,
        report=args.report,
        cache=args.cache,
    )


def autoencoder(args: argparse.Namespace) -> None:
    """Train the pyramid autoencoder on the shards."""
    from pdm.tracking import track
    from pdm.training.autoencoder import run_folder, train_autoencoder

    config = params.load(args.params).autoencoder
    folder = run_folder(config, shards=args.shards, runs=args.runs)
    with track("autoencoder", config, events=folder / "events.jsonl", data=args.shards) as tracked:
        train_autoencoder(
            config, shards=args.shards, run=folder, model=args.model, curves=args.curves
        )
        tracked.model(args.model)


def latents(args: argparse.Namespace) -> None:
    """Encode the shards once with the trained autoencoder."""
    from pdm.inference.latents import encode_shards

    encode_shards(
        params.load(args.params).latents,
        shards=args.shards,
        autoencoder=args.autoencoder,
        latents=args.latents,
    )


def diffusion(args: argparse.Namespace) -> None:
    """Train the pyramid UNet on the latents by rectified flow."""
    from pdm.tracking import track
    from pdm.training.diffusion import run_folder, train_diffusion

    config = params.load(args.params).diffusion
    folder = run_folder(config, latents=args.latents, runs=args.runs)
    with track("diffusion", config, events=folder / "events.jsonl", data=args.latents) as tracked:
        train_diffusion(
            config,
            latents=args.latents,
            autoencoder=args.autoencoder,
            run=folder,
            model=args.model,
            curves=args.curves,
        )
        tracked.model(args.model)


def sample(args: argparse.Namespace) -> None:
    """Draw pictures from the trained models, each with its seed, and a contact sheet."""
    from pdm.inference.sample import sample_pictures

    sample_pictures(
        params.load(args.params).sample,
        autoencoder=args.autoencoder,
        diffusion=args.diffusion,
        shards=args.shards,
        samples=args.samples,
    )


def evaluate(args: argparse.Namespace) -> None:
    """Score samples and reconstructions against held-out pictures."""
    from pdm.evaluation.evaluate import evaluate
    from pdm.tracking import track

    config = params.load(args.params).evaluate
    with track("evaluate", config, data=args.shards) as tracked:
        scores = evaluate(
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


def run(args: argparse.Namespace) -> None:
    """Bring every stage up to date, in order, skipping what is fresh."""
    os.execv(sys.executable, [sys.executable, "-m", "flows", "run"])


def serve(args: argparse.Namespace) -> None:
    """Run the pipeline on a schedule, until stopped."""
    os.execv(sys.executable, [sys.executable, "-m", "flows", "serve", "--cron", args.cron])


def check_params(args: argparse.Namespace) -> None:
    """Check params.yaml and do nothing else."""
    params.load(args.params)
    print(f"{args.params}: all values fit")


def preset(args: argparse.Namespace) -> None:
    """Write a params.yaml for a kind of data set; without a name, list them."""
    from pdm import presets

    if args.name is None:
        known = presets.descriptions()
        for name, description in known.items():
            print(f"{name:<{max(map(len, known))}} {description}")
        return
    text = presets.preset_text(args.name, args.base)
    if args.output is None:
        print(text, end="")
    else:
        presets.write_preset(text, args.output, force=args.force)


def untrained(args: argparse.Namespace) -> None:
    """Write both models with random weights, to see what their size costs; they draw noise."""
    from pdm.inference.untrained import write_untrained

    write_untrained(
        params.load(args.params), autoencoder=args.autoencoder, diffusion=args.diffusion
    )


def verify(args: argparse.Namespace) -> None:
    """Read raw data, shards and latents again, and list all damage."""
    from pdm.data.verify import verify

    print(verify(args.folders))


def removed(args: argparse.Namespace) -> None:
    """Name the data and the models that hold or have seen a picture of the list of removals."""
    from pdm.curation.scrape.takedown import report_removed

    path = args.removals or params.load(args.params).scrape.removed
    print(report_removed(path, args.folders, raw=args.raw, decisions=args.decisions))


def explain(args: argparse.Namespace) -> None:
    """Say why one picture was kept or dropped, with every score and its limit."""
    from pdm.curation.curate.explain import explain

    print(explain(args.name, decisions=args.decisions, shards=args.shards))


def compare(args: argparse.Namespace) -> None:
    """Put runs side by side: a page, and a table."""
    from pdm.comparison.compare import compare

    print(compare(args.runs, experiment=args.experiment, num_best=args.best, output=args.output))


def lineage(args: argparse.Namespace) -> None:
    """Follow a drawn picture back to seed, models, runs, data, URLs and licences."""
    from pdm.lineage.tell import as_json, as_text
    from pdm.lineage.trace import Places, trace

    found = trace(args.picture, Places(args.models, args.samples, args.runs, args.decisions))
    print(as_json(found) if args.json else as_text(found, listed=args.list))


def sync(args: argparse.Namespace) -> None:
    """Send to MLflow the log lines that were kept while it could not be reached."""
    from pdm.tracking import sync

    print(sync(args.runs))


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


class _Help(argparse.HelpFormatter):
    """Counts the indent of the commands' names, which argparse forgets: the longest name would push
    its text to a line of its own."""

    def add_argument(self, action: argparse.Action) -> None:
        self._indent()
        super().add_argument(action)
        self._dedent()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="pyramid",
        formatter_class=_Help,
        description="From image URLs to a trained, measured and versioned 2K image generator. "
        "Edit params.yaml, then `pyramid run`.",
    )
    top.add_argument("--version", action="version", version=f"pyramid-diffusion {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    _command(commands, "run", run)
    for name, (function, paths) in STAGES.items():
        command = _command(commands, name, function)
        _takes_params(command)
        for flag, default in paths.items():
            command.add_argument(
                f"--{flag}", type=Path, default=Path(default), metavar="PATH", help="%(default)s"
            )
        if function is curate:
            _add_explain(command)
        if function is scrape:
            command.add_argument(
                "--retry-failed", action="store_true", help="fetch what failed before once more"
            )
    scheduled = _command(commands, "serve", serve)
    scheduled.add_argument(
        "--cron", default="0 3 * * *", help="when to run (default: '%(default)s', at 3 every night)"
    )
    sub = commands.add_parser("params", help="Look at params.yaml.").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    _takes_params(_command(sub, "check", check_params))
    _add_preset(commands)
    _add_untrained(commands)
    _add_data_tools(commands)
    _add_compare(commands)
    _add_lineage(commands)
    kept = _command(commands, "sync", sync)
    kept.add_argument("--runs", type=Path, default=Path("runs"), metavar="PATH", help="%(default)s")
    return top


def _add_data_tools(commands) -> None:  # type: ignore[no-untyped-def]
    sub = commands.add_parser("data", help="Look at the data.").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    verified = _command(sub, "verify", verify)
    verified.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="default: those of data/raw, data/shards and data/latents that exist",
    )
    looked = _command(sub, "removed", removed)
    _takes_params(looked)
    looked.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="of shards, latents or a model; default: data/shards, data/latents and models/*",
    )
    looked.add_argument("--removals", metavar="FILE", help="default: scrape.removed of the params")
    for name in ("raw", "decisions"):
        looked.add_argument(
            f"--{name}", type=Path, default=Path("data") / name, metavar="PATH", help="%(default)s"
        )


def _add_compare(commands) -> None:  # type: ignore[no-untyped-def]
    command = _command(commands, "compare", compare)
    command.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="folder of a project, or an MLflow run by id, its beginning, or pipeline run; "
        "none: the newest of the experiment",
    )
    command.add_argument("--experiment", metavar="NAME", help="all scored runs of this one")
    command.add_argument("--best", type=int, metavar="N", help="only those of the best score")
    command.add_argument(
        "--output",
        type=Path,
        default=Path("reports/comparison.html"),
        metavar="FILE",
        help="%(default)s",
    )


def _add_lineage(commands) -> None:  # type: ignore[no-untyped-def]
    command = _command(commands, "lineage", lineage)
    command.add_argument("picture", type=Path, metavar="PICTURE", help="wherever it lies now")
    command.add_argument("--list", action="store_true", help="also name every training picture")
    command.add_argument("--json", action="store_true", help="everything, for programs")
    for flag, default in (
        ("models", "models"),
        ("samples", "samples"),
        ("runs", "runs"),
        ("decisions", "data/decisions"),
    ):
        command.add_argument(
            f"--{flag}", type=Path, default=Path(default), metavar="PATH", help="%(default)s"
        )


def _add_explain(curate_command: argparse.ArgumentParser) -> None:
    """`pyramid curate` alone is the stage; `pyramid curate explain NAME` looks at its result."""
    explained = _command(
        curate_command.add_subparsers(title="commands", metavar="COMMAND"), "explain", explain
    )
    explained.add_argument("name", metavar="KEY|URL|NAME", help="its beginning or end is enough")
    # Not given here, it stays what was given to `curate`, or its default.
    explained.add_argument(
        "--decisions", type=Path, default=argparse.SUPPRESS, metavar="PATH", help="data/decisions"
    )
    explained.add_argument(
        "--shards", type=Path, default=Path("data/shards"), metavar="PATH", help="%(default)s"
    )


def _add_preset(commands) -> None:  # type: ignore[no-untyped-def]
    command = _command(commands, "preset", preset)
    command.add_argument("name", nargs="?", metavar="NAME", help="none: list all")
    command.add_argument("--output", type=Path, metavar="FILE", help="default: to the terminal")
    command.add_argument("--force", action="store_true", help="replace FILE if it exists")
    command.add_argument(
        "--from",
        dest="base",
        type=Path,
        metavar="FILE",
        help="a params file whose sources, and all that the preset does not name, are kept",
    )


def _add_untrained(commands) -> None:  # type: ignore[no-untyped-def]
    command = _command(commands, "untrained", untrained)
    _takes_params(command)
    for name in ("autoencoder", "diffusion"):
        command.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")


def _command(commands, name, function) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    text = function.__doc__
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(function=function)
    return command


def _takes_params(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="%(default)s"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command. What a user can mend ends in one line on stderr, not in a traceback."""
    args = parser().parse_args(argv)
    # Read by torch when it is imported: threads that wait for each other are to sleep, not to spin,
    # which costs a stage a multiple of its time as soon as the machine does anything else.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if "DVC_STAGE" in os.environ:
        _die_with_parent()
    try:
        args.function(args)
    except PyramidError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except FileNotFoundError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"error: {error.filename or 'a file'}: {reason}", file=sys.stderr)
        return BadInput.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in DISK_FAULTS:
            traceback.print_exc()
            return 1
        place = f"{error.filename}: " if error.filename else ""
        fault = (error.strerror or str(error)).lower()
        print(f"error: {place}{fault}; see to the disk, then run this again", file=sys.stderr)
        return Unavailable.exit_code
    except Exception:  # noqa: BLE001 - a fault of ours: show all of it
        traceback.print_exc()
        return 1
    return 0


def _die_with_parent() -> None:
    """Let a killed `dvc repro` take its stage with it; left alone, the stage would go on writing
    into outputs that the next repro has begun to clear."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
