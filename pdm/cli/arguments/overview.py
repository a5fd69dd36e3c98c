"""The first screen of `pyramid --help`: how to start, and all commands in groups."""

import argparse
import shutil
import textwrap
from collections.abc import Mapping

from pdm.cli.stages import STAGES

START = """\
Train and measure your own generator of 2K images, from a list of image URLs or a folder.

Start here:
  pyramid run               run the whole pipeline, at first on built-in images
  pyramid params show       see what params.yaml can change
  pyramid COMMAND --help    see the options of a command
"""

GROUPS = {
    "The whole pipeline": ("run", "serve", "rehearse", "doctor"),
    "Its stages, in order": tuple(STAGES),
    "Draw": ("draw", "inpaint", "upscale", "paint"),
    "Params": ("params", "preset"),
    "Results": ("scores", "compare", "lineage", "sync"),
    "Data and models": ("data", "import", "export", "ema", "networks", "untrained"),
}


def overview(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """Format the overview of these commands, as wide as the terminal."""
    column = max(map(len, commands)) + 4
    wrapper = textwrap.TextWrapper(
        width=max(60, shutil.get_terminal_size().columns - 2), subsequent_indent=" " * column
    )
    lines = [START]
    for title, names in GROUPS.items():
        lines.append(f"{title}:")
        for name in names:
            text = f"  {name.ljust(column - 2)}{commands[name].description}"
            lines += wrapper.wrap(text)
        lines.append("")
    return "\n".join(lines)
