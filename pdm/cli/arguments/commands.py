"""All commands of `pyramid`: names, flags and help. What they do is in the modules above."""

import argparse

from pdm import __version__
from pdm.cli import stages, tools
from pdm.cli.arguments.command_parser import CommandParser
from pdm.cli.arguments.models import (
    add_ema,
    add_export,
    add_import,
    add_networks,
    add_rehearse,
    add_untrained,
)
from pdm.cli.arguments.options import add_command, add_path_options
from pdm.cli.arguments.overview import overview
from pdm.cli.arguments.pictures import add_pictures
from pdm.cli.arguments.stages import add_run, add_stage
from pdm.cli.arguments.tools import (
    add_compare,
    add_data_tools,
    add_doctor,
    add_lineage,
    add_params,
    add_preset,
    add_scores,
)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = CommandParser(
        prog="pyramid",
        usage="pyramid COMMAND [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"pyramid-diffusion {__version__}")
    commands = top.add_subparsers(prog="pyramid", metavar="COMMAND", help=argparse.SUPPRESS)
    add_run(commands)
    for name, (function, paths) in stages.STAGES.items():
        add_stage(commands, name, function, paths)
    add_pictures(commands)
    add_params(commands)
    add_doctor(commands)
    add_preset(commands)
    add_rehearse(commands)
    add_untrained(commands)
    add_export(commands)
    add_import(commands)
    add_ema(commands)
    add_networks(commands)
    add_data_tools(commands)
    add_scores(commands)
    add_compare(commands)
    add_lineage(commands)
    add_path_options(add_command(commands, "sync", tools.sync), {"runs": "runs"})
    top.description = overview(commands.choices)
    return top
