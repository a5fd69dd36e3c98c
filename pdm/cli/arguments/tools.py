"""Arguments of the tools for params, presets, data and results."""

from pathlib import Path

from pdm.cli import tools
from pdm.cli.arguments.options import (
    Commands,
    add_command,
    add_group,
    add_params_option,
    add_path_options,
)


def add_params(commands: Commands) -> None:
    """Add `pyramid params`: show, check and upgrade."""
    sub = add_group(commands, "params", "Explain, check or upgrade params.yaml.")
    show = add_command(sub, "show", tools.show_params)
    show.add_argument(
        "key", nargs="?", metavar="SECTION|KEY", help="such as sample, or sample.steps"
    )
    show.add_argument(
        "--changed",
        nargs="?",
        const="default",
        metavar="PRESET",
        help="only the values that differ from the default ones, or from a preset",
    )
    add_params_option(show)
    add_params_option(add_command(sub, "check", tools.check_params))
    add_params_option(add_command(sub, "upgrade", tools.upgrade_params))


def add_data_tools(commands: Commands) -> None:
    """Add `pyramid data`: verify and removed."""
    sub = add_group(commands, "data", "Verify data, or find what was made from withdrawn images.")
    add_command(sub, "verify", tools.verify).add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="default: those of data/raw, data/shards and data/latents that exist; DVC's cache "
        "(.dvc/cache) and a remote that is a folder can be named, too",
    )
    removed = add_command(sub, "removed", tools.removed)
    add_params_option(removed)
    removed.add_argument(
        "folders",
        type=Path,
        nargs="*",
        metavar="FOLDER",
        help="of shards, latents or a model; default: data/shards, data/latents, models/* and "
        "runs/*/*/model",
    )
    removed.add_argument("--removals", metavar="FILE", help="default: scrape.removed of the params")
    add_path_options(removed, {"raw": "data/raw", "decisions": "data/decisions"})


def add_doctor(commands: Commands) -> None:
    """Add `pyramid doctor`."""
    command = add_command(commands, "doctor", tools.doctor)
    command.add_argument("--json", action="store_true", help="for programs")
    add_params_option(command)


def add_scores(commands: Commands) -> None:
    """Add `pyramid scores`."""
    command = add_command(commands, "scores", tools.scores)
    command.add_argument("--headline", action="store_true", help="only the six headline scores")
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(
        "--metrics",
        type=Path,
        default=Path("metrics.json"),
        metavar="FILE",
        help="default: %(default)s",
    )


def add_compare(commands: Commands) -> None:
    """Add `pyramid compare`."""
    command = add_command(commands, "compare", tools.compare)
    command.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="folder of a project, or an MLflow run: its id, the beginning of it, or its pipeline "
        "run; default: those of this project's experiment",
    )
    command.add_argument("--experiment", metavar="NAME", help="its newest scored runs, at most 8")
    command.add_argument("--best", type=int, metavar="N", help="only the N best of them")
    command.add_argument(
        "--output",
        type=Path,
        default=Path("reports/comparison.html"),
        metavar="FILE",
        help="default: %(default)s",
    )


def add_lineage(commands: Commands) -> None:
    """Add `pyramid lineage`."""
    command = add_command(commands, "lineage", tools.lineage)
    command.add_argument("picture", type=Path, metavar="IMAGE", help="a sample, in any folder")
    command.add_argument("--list", action="store_true", help="also list every training image")
    command.add_argument("--json", action="store_true", help="print everything as JSON")
    folders = {"models": "models", "samples": "samples", "runs": "runs"}
    add_path_options(command, folders | {"decisions": "data/decisions", "shards": "data/shards"})


def add_preset(commands: Commands) -> None:
    """Add `pyramid preset`."""
    command = add_command(commands, "preset", tools.preset)
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
