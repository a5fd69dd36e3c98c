"""Parts of the command line that several commands share."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pdm.cli.arguments.command_parser import CommandParser
from pdm.config.limits import (
    Count,
    EmaLength,
    Fraction,
    Limits,
    NonNegative,
    Positive,
    Seed,
    parse_number,
)
from pdm.params import DEFAULT_PATH

Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"
Function = Callable[[argparse.Namespace], None]


def add_command(commands: Commands, name: str, function: Function) -> CommandParser:
    """Add a command that calls this function; its help is the function's docstring."""
    text = function.__doc__
    command = commands.add_parser(name, help=text, description=text)
    command.set_defaults(function=function)
    return command


def add_group(
    commands: Commands, name: str, text: str, *, title: str = "commands", metavar: str = "COMMAND"
) -> Commands:
    """Add a command that has commands of its own, one of which must be named; return these."""
    group = commands.add_parser(name, help=text, description=text)
    return group.add_subparsers(title=title, metavar=metavar, required=True)


def add_params_option(command: argparse._ActionsContainer) -> None:
    """Add `--params FILE`."""
    command.add_argument(
        "--params", type=Path, default=DEFAULT_PATH, metavar="FILE", help="default: %(default)s"
    )


def add_models_option(command: argparse.ArgumentParser) -> None:
    """Add `--models PATH` and `--champion`, one of which names the trained models."""
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="PATH",
        help="folder with the models autoencoder and diffusion; default: %(default)s",
    )
    which.add_argument("--champion", action="store_true", help="use MLflow's champion instead")


def add_path_options(command: argparse.ArgumentParser, paths: Mapping[str, str]) -> None:
    """Add a flag for each path, by its name, with its default."""
    for name, default in paths.items():
        command.add_argument(
            f"--{name}",
            type=Path,
            default=Path(default),
            metavar="PATH",
            help="default: %(default)s",
        )


def add_set_option(command: argparse.ArgumentParser) -> None:
    """Add `--set KEY=VALUE`."""
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        metavar="KEY=VALUE",
        help="write a value into the params file first, such as "
        "diffusion.training.learning_rate=3e-4; may be repeated",
    )


def count(text: str) -> int:
    """Parse a whole number, 0 or more."""
    return _at_least(0, text)


def positive_count(text: str) -> int:
    """Parse a whole number, 1 or more."""
    return _at_least(1, text)


def limited_count(text: str) -> float:
    """Parse a number of steps or images, as the params limit them."""
    return _number(text, Count)


def seed(text: str) -> float:
    """Parse a seed, as the params limit it."""
    return _number(text, Seed)


def guidance_scale(text: str) -> float:
    """Parse a guidance scale: 0 or more, and finite."""
    return _number(text, NonNegative)


def positive_share(text: str) -> float:
    """Parse a number above 0, at most 1."""
    return _number(text, Annotated[float, Limits(above=0, at_most=1)])


def positive_number(text: str) -> float:
    """Parse a number above 0, and finite."""
    return _number(text, Positive)


def ema_length(text: str) -> float:
    """Parse the length of an EMA, as the params limit it."""
    return _number(text, EmaLength)


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    return _number(text, Fraction)


def _number(text: str, hint: Any) -> float:
    try:
        return parse_number(text, hint)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _at_least(lowest: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = lowest - 1
    if number < lowest:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {lowest}, got '{text}'"
        )
    return number
