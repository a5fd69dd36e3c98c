"""The command `pyramid`: one subcommand per stage, and tools."""

from pdm.cli.arguments.commands import parser
from pdm.cli.command import main
from pdm.cli.stages import STAGES

__all__ = ["STAGES", "main", "parser"]
