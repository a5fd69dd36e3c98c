"""The command line: names, flags and their help; what each command does is in `stages`, `tools`."""

import argparse
from pathlib import Path

from pdm import __version__
from pdm.cli import stages, tools
from pdm.params import DEFAULT_PATH


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

    run = _command(commands, "run", tools.run)
    run.set_defaults(params=DEFAULT_PATH)
    _takes_settings(run)
    for name, (function, paths) in stages.STAGES.items():
        command = _command(commands, name, function)
        _takes_params(command)
        _takes_settings(command)
        for flag, default in paths.items():
            command.add_argument(
                f"--{flag}", type=Path, default=Path(default), metavar="PATH", help="%(default)s"
            )
        if function is stages.curate:
            _add_explain(command)
        if function is stages.sample:
            _add_sizes(command)
        if function in (stages.autoencoder, stages.diffusion):
            command.add_argument(
                "--launcher",
                choices=("ray", "process"),
                help="start workers with Ray, or train in this process alone (default: ray, or "
                "each process of torchrun as a worker)",
            )
        if function is stages.scrape:
            command.add_argument(
                "--retry-failed", action="store_true", help="fetch what failed before once more"
            )
    scheduled = _command(commands, "serve", tools.serve)
    scheduled.add_argument(
        "--cron", default="0 3 * * *", help="when to run (default: '%(default)s', at 3 every night)"
    )
    sub = commands.add_parser(
        "params", help="Explain, check and upgrade params.yaml."
    ).add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = _command(sub, "show", tools.show_params)
    shown.add_argument(
        "key", nargs="?", metavar="SECTION|KEY", help="such as sample, or sample.steps"
    )
    _takes_params(shown)
    _takes_params(_command(sub, "check", tools.check_params))
    _takes_params(_command(sub, "upgrade", tools.upgrade_params))
    _add_preset(commands)
    _add_untrained(commands)
    _add_data_tools(commands)
    _add_compare(commands)
    _add_lineage(commands)
    kept = _command(commands, "sync", tools.sync)
    kept.add_argument("--runs", type=Path, default=Path("runs"), metavar="PATH", help="%(default)s")
    return top


def _add_data_tools(commands) -> None:  # type: ignore[no-untyped-def]
    sub = commands.add_parser("data", help="Look at the data.").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    verified = _command(sub, "verify", tools.verify)
    verified.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="default: those of data/raw, data/shards and data/latents that exist",
    )
    looked = _command(sub, "removed", tools.removed)
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
    command = _command(commands, "compare", tools.compare)
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
    command = _command(commands, "lineage", tools.lineage)
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
        curate_command.add_subparsers(title="commands", metavar="COMMAND"), "explain", tools.explain
    )
    explained.add_argument("name", metavar="KEY|URL|NAME", help="its beginning or end is enough")
    # Not given here, it stays what was given to `curate`, or its default.
    explained.add_argument(
        "--decisions", type=Path, default=argparse.SUPPRESS, metavar="PATH", help="data/decisions"
    )
    explained.add_argument(
        "--shards", type=Path, default=Path("data/shards"), metavar="PATH", help="%(default)s"
    )


def _add_sizes(sample_command: argparse.ArgumentParser) -> None:
    """To draw at a size without a params file of it, as one does to see what it costs."""
    sample_command.add_argument(
        "--preset",
        metavar="NAME",
        help="settings of a preset, such as 2048x2048, in place of FILE; no shards are needed, and "
        "the samples go to samples-NAME",
    )
    sample_command.add_argument(
        "--untrained", action="store_true", help="random weights: noise, to see what a size costs"
    )
    for flag, text in (("num-images", "default: 1"), ("steps", "default: the preset's")):
        sample_command.add_argument(
            f"--{flag}", type=_positive, metavar="N", help=f"with --preset; {text}"
        )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _add_preset(commands) -> None:  # type: ignore[no-untyped-def]
    command = _command(commands, "preset", tools.preset)
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
    command = _command(commands, "untrained", tools.untrained)
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
        "--params", type=Path, default=DEFAULT_PATH, metavar="FILE", help="%(default)s"
    )


def _takes_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        metavar="KEY=VALUE",
        help="write a value into the params file first, such as "
        "diffusion.training.learning_rate=3e-4; may be repeated",
    )
