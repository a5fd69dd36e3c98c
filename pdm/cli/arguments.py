"""The command line: names, flags and their help; what each command does is in `stages`, `tools`."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from pdm import __version__
from pdm.cli import pictures, stages, tools
from pdm.cli.overview import overview
from pdm.params import DEFAULT_PATH

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Function = Callable[[argparse.Namespace], None]


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="pyramid",
        usage="pyramid COMMAND [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"pyramid-diffusion {__version__}")
    commands = top.add_subparsers(prog="pyramid", metavar="COMMAND", help=argparse.SUPPRESS)
    _add_run(commands)
    for name, (function, paths) in stages.STAGES.items():
        _add_stage(commands, name, function, paths)
    _add_pictures(commands)
    _add_params(commands)
    _add_preset(commands)
    _add_rehearse(commands)
    _add_untrained(commands)
    _add_export(commands)
    _add_ema(commands)
    _add_networks(commands)
    _add_data_tools(commands)
    _add_scores(commands)
    _add_compare(commands)
    _add_lineage(commands)
    _takes_paths(_command(commands, "sync", tools.sync), {"runs": "runs"})
    top.description = overview(commands.choices)
    return top


def _add_run(commands: Commands) -> None:
    run = _command(commands, "run", tools.run)
    run.set_defaults(params=DEFAULT_PATH)
    _takes_settings(run)
    serve = _command(commands, "serve", tools.serve)
    for command in (run, serve):
        command.add_argument(
            "--keep-models",
            action="store_true",
            help="end with exit code 2, before anything of it is removed, if a trained model would "
            "be trained again",
        )
    serve.add_argument(
        "--cron", default="0 3 * * *", help="when to run (default: '%(default)s', at 3 every night)"
    )


def _add_stage(commands: Commands, name: str, function: Function, paths: dict[str, str]) -> None:
    command = _command(commands, name, function)
    _takes_params(command)
    _takes_settings(command)
    _takes_paths(command, paths)
    if function is stages.curate:
        _add_explain(command)
    if function is stages.sample:
        _add_sizes(command)
    if function in (stages.latents, stages.sample):
        command.add_argument(
            "--workers",
            type=_count,
            metavar="N",
            help="Ray workers, with a GPU each if there are any; 0: this process alone (default: "
            "one for each GPU of the cluster that RAY_ADDRESS names, or of this machine if it has "
            "several; else 0)",
        )
    if function in (stages.autoencoder, stages.diffusion):
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
    if function is stages.scrape:
        command.add_argument(
            "--retry-failed", action="store_true", help="fetch again what failed before"
        )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _add_params(commands: Commands) -> None:
    text = "Explain, check or upgrade params.yaml."
    sub = commands.add_parser("params", help=text, description=text).add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    show = _command(sub, "show", tools.show_params)
    show.add_argument(
        "key", nargs="?", metavar="SECTION|KEY", help="such as sample, or sample.steps"
    )
    _takes_params(show)
    _takes_params(_command(sub, "check", tools.check_params))
    _takes_params(_command(sub, "upgrade", tools.upgrade_params))


def _add_data_tools(commands: Commands) -> None:
    text = "Verify data, or find what was made from withdrawn images."
    sub = commands.add_parser("data", help=text, description=text).add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    _command(sub, "verify", tools.verify).add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="default: those of data/raw, data/shards and data/latents that exist",
    )
    removed = _command(sub, "removed", tools.removed)
    _takes_params(removed)
    removed.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="of shards, latents or a model; default: data/shards, data/latents, models/* and "
        "runs/*/*/model",
    )
    removed.add_argument("--removals", metavar="FILE", help="default: scrape.removed of the params")
    _takes_paths(removed, {"raw": "data/raw", "decisions": "data/decisions"})


def _add_scores(commands: Commands) -> None:
    command = _command(commands, "scores", tools.scores)
    command.add_argument("--headline", action="store_true", help="only the six to look at first")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--metrics",
        type=Path,
        default=Path("metrics.json"),
        metavar="FILE",
        help="default: %(default)s",
    )


def _add_compare(commands: Commands) -> None:
    command = _command(commands, "compare", tools.compare)
    command.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="folder of a project, or an MLflow run: its id, the beginning of it, or its pipeline "
        "run; default: the newest runs of the experiment",
    )
    command.add_argument("--experiment", metavar="NAME", help="all scored runs of this experiment")
    command.add_argument("--best", type=int, metavar="N", help="only the N best of them")
    command.add_argument(
        "--output",
        type=Path,
        default=Path("reports/comparison.html"),
        metavar="FILE",
        help="default: %(default)s",
    )


def _add_lineage(commands: Commands) -> None:
    command = _command(commands, "lineage", tools.lineage)
    command.add_argument("picture", type=Path, metavar="IMAGE", help="a sample, in any folder")
    command.add_argument("--list", action="store_true", help="also list every training image")
    command.add_argument("--json", action="store_true", help="print everything as JSON")
    folders = {"models": "models", "samples": "samples", "runs": "runs"}
    _takes_paths(command, folders | {"decisions": "data/decisions", "shards": "data/shards"})


def _add_explain(curate: argparse.ArgumentParser) -> None:
    """`pyramid curate` alone is the stage; `pyramid curate explain NAME` looks at its result."""
    explain = _command(
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
    _takes_paths(explain, {"shards": "data/shards"})


def _add_sizes(sample_command: argparse.ArgumentParser) -> None:
    """Options to sample at another size without a params file, to see what that size costs."""
    sample_command.add_argument(
        "--preset",
        metavar="NAME",
        help="use this preset, such as 2048x2048, instead of FILE; needs no shards and writes to "
        "samples-NAME",
    )
    sample_command.add_argument(
        "--untrained",
        action="store_true",
        help="use random weights, to see what a size costs",
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


def _add_pictures(commands: Commands) -> None:
    inpaint = _command(commands, "inpaint", pictures.inpaint)
    inpaint.add_argument("picture", type=Path, metavar="PICTURE", help="JPEG, PNG, WebP or AVIF")
    inpaint.add_argument(
        "--mask",
        type=Path,
        required=True,
        metavar="MASK",
        help="an image of the same size: what is white is drawn, what is black stays",
    )
    inpaint.add_argument(
        "--soft-edge",
        type=_count,
        default=0,
        metavar="PX",
        help="blend so many pixels around the mask, too; default: none, they stay to the bit",
    )
    _draws_pictures(inpaint)
    upscale = _command(commands, "upscale", pictures.upscale)
    upscale.add_argument("picture", type=Path, metavar="PICTURE", help="JPEG, PNG, WebP or AVIF")
    upscale.add_argument(
        "--factor", type=_positive, metavar="N", help="default: that of the model, 2 or 4"
    )
    _draws_pictures(upscale)


def _draws_pictures(command: argparse.ArgumentParser) -> None:
    """Options of all commands that draw in a picture."""
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="PATH",
        help="folder with the models autoencoder and diffusion; default: %(default)s",
    )
    which.add_argument("--champion", action="store_true", help="take MLflow's champion instead")
    command.add_argument("--seed", type=_count, default=0, metavar="N", help="default: %(default)s")
    command.add_argument(
        "--num", type=_positive, default=1, metavar="N", help="pictures, of as many seeds"
    )
    command.add_argument(
        "--steps", type=_positive, metavar="N", help="default: sample.steps of the params"
    )
    command.add_argument(
        "--output", type=Path, metavar="PNG", help="default: a file beside the picture"
    )
    _takes_params(command)


def _add_preset(commands: Commands) -> None:
    command = _command(commands, "preset", tools.preset)
    command.add_argument("name", nargs="?", metavar="NAME", help="default: list all presets")
    command.add_argument("--output", type=Path, metavar="FILE", help="default: the terminal")
    command.add_argument("--force", action="store_true", help="replace FILE if it exists")
    command.add_argument(
        "--from",
        dest="base",
        type=Path,
        metavar="FILE",
        help="start from this params file: keep its sources and all that the preset does not name",
    )


def _add_rehearse(commands: Commands) -> None:
    command = _command(commands, "rehearse", tools.rehearse)
    which = command.add_mutually_exclusive_group()
    which.add_argument("--preset", metavar="NAME", help="such as 2048x2048, instead of FILE")
    which.add_argument(
        "--params", type=Path, default=DEFAULT_PATH, metavar="FILE", help="default: %(default)s"
    )
    command.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="a dozen pictures; default: built-in ones"
    )
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="work there; default: a folder that is removed"
    )
    command.add_argument(
        "--max-memory",
        type=float,
        metavar="GIB",
        help="stop a stage that takes more memory of the host; default: no limit",
    )
    command.add_argument("--json", action="store_true", help="print all as JSON in the last line")


def _add_untrained(commands: Commands) -> None:
    command = _command(commands, "untrained", tools.untrained)
    _takes_params(command)
    for name in ("autoencoder", "diffusion"):
        command.add_argument(
            f"--{name}", type=Path, required=True, metavar="PATH", help="folder to write"
        )


def _add_export(commands: Commands) -> None:
    text = "Write a model from any checkpoint that is kept, such as the best."
    sub = commands.add_parser("export", help=text, description=text).add_subparsers(
        title="models", metavar="MODEL", required=True
    )
    for function, data in (
        (tools.export_autoencoder, "shards"),
        (tools.export_diffusion, "latents"),
    ):
        stage = function.__name__.removeprefix("export_")
        command = _command(sub, stage, function)
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("--best", action="store_true", help="the checkpoint with the best score")
        which.add_argument(
            "--images", type=_positive, metavar="N", help="the checkpoint that has seen N images"
        )
        command.add_argument(
            "--run",
            type=Path,
            metavar="DIR",
            help="folder of the run; default: that of the present params and data, in --runs",
        )
        command.add_argument(
            "--model", type=Path, required=True, metavar="OUT", help="folder to write"
        )
        _takes_params(command)
        _takes_paths(command, {data: f"data/{data}", "runs": f"runs/{stage}"})


def _add_ema(commands: Commands) -> None:
    command = _command(commands, "ema", tools.ema)
    command.add_argument(
        "lengths",
        nargs="*",
        type=float,
        default=[0.03, 0.05, 0.08, 0.1, 0.15, 0.2],
        metavar="LENGTH",
        help="default: 0.03 0.05 0.08 0.1 0.15 0.2; the EMA in the model file always comes first",
    )
    command.add_argument(
        "--num-images",
        type=_positive,
        default=128,
        metavar="N",
        help="samples of each; default: %(default)s",
    )
    _takes_params(command)
    models = {"autoencoder": "models/autoencoder", "diffusion": "models/diffusion"}
    _takes_paths(command, {"latents": "data/latents"} | models)


def _add_networks(commands: Commands) -> None:
    text = "Make files of trained networks for evaluate.features and autoencoder.perceptual."
    sub = commands.add_parser("networks", help=text, description=text).add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    _command(sub, "list", tools.list_networks)
    make = _command(sub, "make", tools.make_network)
    make.add_argument("name", metavar="NAME", help="such as efficientnet-lite0")
    make.add_argument(
        "--for",
        dest="purpose",
        choices=("features", "perceptual"),
        default="features",
        help="features: for evaluate.features (the default); perceptual: for "
        "autoencoder.perceptual",
    )
    make.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: NAME-features.pt or NAME-perceptual.pt",
    )


def _command(commands: Commands, name: str, function: Function) -> argparse.ArgumentParser:
    text = function.__doc__
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(function=function)
    return command


def _takes_params(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--params", type=Path, default=DEFAULT_PATH, metavar="FILE", help="default: %(default)s"
    )


def _takes_paths(command: argparse.ArgumentParser, paths: Mapping[str, str]) -> None:
    """A flag for each path, by its name, with its default."""
    for name, default in paths.items():
        command.add_argument(
            f"--{name}",
            type=Path,
            default=Path(default),
            metavar="PATH",
            help="default: %(default)s",
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
