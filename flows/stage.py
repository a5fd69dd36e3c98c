"""Runs one stage as `dvc repro --single-item STAGE`, line by line, and reports the outcome."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows import graph
from flows.environment import with_hidden_proxies
from flows.errors import StageFailed

SECONDS_TO_STOP = 60.0  # a training stage that is stopped still writes its checkpoint

SECONDS_TO_SWEEP = 5.0

# What DVC itself says on the way; the rest are the stage's own lines.
_DVC_SAYS = re.compile(
    r"(Running stage|Stage) '|> |(Updating|Generating) lock file|To (track|enable) |\tgit add|"
    r"\tdvc config|Use `dvc push`|Data and pipelines are up to date|Verifying data sources|\s*$|"
    r"ERROR: failed to reproduce"
)
_EXIT = re.compile(r"ERROR: failed to reproduce .* exited with (-?\d+)$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stage."""

    stage: str
    state: str  # "run", "restored" from DVC's cache, or "fresh"
    seconds: float
    summary: str  # the last line of the stage about itself, without its name; may be empty


def reproduce(
    stage: str, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Outcome:
    """Bring one stage up to date, if it is not.

    Args:
        stage: Its name in dvc.yaml. The stages before it must be up to date.
        say: Called with a heading, then with each line that the stage writes, as it comes; not at
            all if the stage is fresh.
        environment: Added to this process's own.

    Raises:
        StageFailed: With the stage's exit code and its last `error: ` line.
    """
    began = time.monotonic()
    if not graph.stale(stage):
        return Outcome(stage, "fresh", time.monotonic() - began, "")
    say(f"\n== {stage} ==")
    lines: list[str] = []
    with _dvc_repro(stage, environment or {}) as process:
        for line in process.stdout or ():
            line = line.rstrip("\n")
            lines.append(line)
            if not _DVC_SAYS.match(line):
                say(line)
    if process.returncode:
        raise StageFailed(_complaint(stage, lines), _exit_code(lines))
    ran = any(line.startswith("Running stage '") for line in lines)
    state = "run" if ran else "restored"
    return Outcome(stage, state, time.monotonic() - began, _summary(stage, lines))


def environment_of_stages() -> dict[str, str]:
    """The user's environment, in which the commands of this Python, and this package, are found."""
    return with_commands_found(with_hidden_proxies())


def with_commands_found(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the folders of this Python and of this package on its paths."""
    commands = [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
    packages = [str(Path(__file__).parents[1]), environment.get("PYTHONPATH", "")]
    return {
        **environment,
        "PATH": os.pathsep.join(commands),
        "PYTHONPATH": os.pathsep.join(filter(None, packages)),
        "PYTHONUNBUFFERED": "1",
    }


def die_with_parent(module: str, *arguments: str) -> list[str]:
    """Command line that runs a Python module and, on Linux, ends when this process does."""
    return [sys.executable, "-m", "flows.child", module, *arguments]


@contextlib.contextmanager
def _dvc_repro(stage: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The running command, in a process group of its own, which does not outlive the block."""
    process = subprocess.Popen(
        die_with_parent("dvc", "repro", "--single-item", stage),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**environment_of_stages(), **environment},
        start_new_session=True,
    )
    # A stray worker of the stage may hold the pipe open; the command's end is the stage's end.
    sweep = threading.Thread(target=_sweep, args=[process], daemon=True)
    sweep.start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                _stop(process)
                raise
    finally:
        _kill_group(process)


def _sweep(process: subprocess.Popen[str]) -> None:
    if process.wait() >= 0:  # not stopped by us: then the stage may still be saving
        time.sleep(SECONDS_TO_SWEEP)
        _kill_group(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the stage to stop, give it time to write what it has, then kill the group.

    Where the kernel passes a parent's death on (Linux), only DVC gets the signal: a stage's own
    workers must stay alive while it saves. The pipe closes when the last of the group is gone.
    """
    if sys.platform == "linux":
        process.terminate()
    else:
        os.killpg(process.pid, signal.SIGTERM)
    timer = threading.Timer(SECONDS_TO_STOP, _kill_group, [process])
    timer.start()
    try:
        for _ in process.stdout or ():
            pass
    finally:
        timer.cancel()


def _kill_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone
        os.killpg(process.pid, signal.SIGKILL)


def _summary(stage: str, lines: list[str]) -> str:
    """The stage's last line about itself, else its last line."""
    lines = [line for line in lines if not _DVC_SAYS.match(line)]
    own = [line for line in lines if line.startswith(f"{stage}: ")]
    return (own or lines or [""])[-1].removeprefix(f"{stage}: ")


def _exit_code(lines: list[str]) -> int:
    """The stage's exit code as DVC reports it; 1 if DVC itself failed."""
    codes = [int(match[1]) for line in lines if (match := _EXIT.match(line))]
    if not codes:
        return 1
    return 128 - codes[-1] if codes[-1] < 0 else codes[-1]


def _complaint(stage: str, lines: list[str]) -> str:
    errors = [line for line in lines if line.lower().startswith("error: ")]
    own = [line for line in errors if not line.startswith("ERROR: failed to reproduce")]
    text = (own or errors or [f"exit code {_exit_code(lines)}"])[-1]
    return f"stage '{stage}': {text.split(': ', 1)[-1] if own else text}"
