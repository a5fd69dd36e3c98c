"""Checks params.yaml before DVC deletes a stage's old outputs."""

import subprocess
import sys

from flows.errors import BAD_INPUT, RunError
from flows.stages import graph
from flows.stages.stage import environment_of_stages


def check_params() -> None:
    """Run `pyramid params check`, if `pyramid` runs any of the stages.

    Raises:
        RunError: params.yaml is invalid; the text is that of the command.
    """
    if not graph.runs_pyramid_command():
        return
    checked = subprocess.run(
        [sys.executable, "-m", "pdm", "params", "check"],
        capture_output=True,
        text=True,
        env=environment_of_stages(),
        check=False,
    )
    if checked.returncode:
        text = (checked.stderr.strip() or checked.stdout.strip()).removeprefix("error: ")
        raise RunError(text or "params.yaml cannot be checked", checked.returncode or BAD_INPUT)
