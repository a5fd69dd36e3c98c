"""Arguments of the pipeline and its stages."""

import argparse
from collections.abc import Callable
from pathlib import Path

from pdm.cli import tools
from pdm.cli.arguments.command_parser import CommandParser
from pdm.cli.arguments.options import (
    Commands,
    Function,
    add_command,
    add_params_option,
    add_path_options,
    add_set_option,
    count,
    positive_count,
)
from pdm.params import DEFAULT_PATH


def add_run(commands: Commands) -> None:
    """Add `pyramid run` and `pyramid serve`."""
    run = add_command(commands, "run", tools.run)
    run.set_defaults(params=DEFAULT_PATH)
    add_set_option(run)
    serve = add_command(commands, "serve", tools.serve)
    for command in (run, serve):
        command.add_argument(
            "--keep-models",
            action="store_true",
            help="end with exit code 2, before anything is removed, if a model would be trained "
            "again",
        )
    serve.add_argument(
        "--cron", default="0 3 * * *", help="when to run (default: '%(default)s', at 3 every night)"
    )


def add_stage(commands: Commands, name: str, function: Function, paths: dict[str, str]) -> None:
    """Add `pyramid STAGE`, with its own options."""
    command = add_command(commands, name, function)
    add_params_option(command)
    add_set_option(command)
    add_path_options(command, paths)
    for add_own_options in OWN_OPTIONS.get(name, ()):
        add_own_options(command)


def _reasons(text: str) -> tuple[str, ...]:
    """Parse reasons, separated by commas.

    Raises:
        argparse.ArgumentTypeError: There is none, which would mean all.
    """
    reasons = tuple(reason.strip() for reason in text.split(",") if reason.strip())
    if not reasons:
        raise argparse.ArgumentTypeError(f"'{text}' names no reason; leave the option out for all")
    return reasons


def _add_retries(scrape: CommandParser) -> None:
    """Add options to fetch again what failed."""
    scrape.add_argument(
        "--retry-failed", action="store_true", help="fetch again what failed before"
    )
    scrape.add_argument(
        "--only-errors",
        type=_reasons,
        default=(),
        metavar="REASON,...",
        help="with --retry-failed: only what failed for one of these reasons, such as "
        "timeout,http_5xx,dns (data/raw/summary.json counts them)",
    )
    scrape.add_argument(
        "--max-failed-runs",
        type=positive_count,
        metavar="N",
        help="with --retry-failed: only what failed in fewer than N runs so far",
    )


def _add_explain(curate: CommandParser) -> None:
    """Add `pyramid curate explain`. `pyramid curate` alone is the stage."""
    explain = add_command(
        curate.add_subparsers(title="commands", metavar="COMMAND"), "explain", tools.explain
    )
    explain.add_argument("name", metavar="KEY|URL|NAME", help="its beginning or end is enough")
    # Without the flag here, the value stays what was given to `curate`, or its default.
    explain.add_argument(
        "--decisions",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="PATH",
        help="default: data/decisions",
    )
    add_path_options(explain, {"shards": "data/shards"})


def _add_sizes(sample: CommandParser) -> None:
    """Add options to sample at another size without a params file, to see what that size costs."""
    sample.add_argument(
        "--preset",
        metavar="NAME",
        help="use this preset, such as 2048x2048, instead of FILE; needs no shards and writes to "
        "samples-NAME",
    )
    sample.add_argument(
        "--untrained",
        action="store_true",
        help="use random weights, to see what a size costs",
    )
    for flag, text in (("num-images", "default: 1"), ("steps", "default: the preset's")):
        sample.add_argument(
            f"--{flag}", type=positive_count, metavar="N", help=f"with --preset; {text}"
        )


def _add_workers(command: CommandParser) -> None:
    """Add the number of processes of a stage that works by parts."""
    command.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="Ray workers, with a GPU each if there are any; 0: this process alone (default: "
        "one for each GPU of the cluster that RAY_ADDRESS names, or of this machine if it has "
        "several; else 0)",
    )


def _add_training(command: CommandParser) -> None:
    """Add the options of a stage that trains."""
    command.add_argument(
        "--launcher",
        choices=("ray", "process"),
        help="start workers with Ray, or train in this process alone (default: ray, or "
        "each process of torchrun as a worker)",
    )
    command.add_argument(
        "--dry-run",
        nargs="?",
        const="text",
        choices=("text", "json", "costs"),
        help="train nothing; say whether the model would be restored or trained, and predict "
        "shapes, parameters, operations and memory by part (json: only the first, at once; "
        "costs: both, as JSON)",
    )


# Of each stage, beside those that all have.
OWN_OPTIONS: dict[str, tuple[Callable[[CommandParser], None], ...]] = {
    "scrape": (_add_retries,),
    "curate": (_add_explain,),
    "autoencoder": (_add_training,),
    "latents": (_add_workers,),
    "diffusion": (_add_training,),
    "sample": (_add_sizes, _add_workers),
}
