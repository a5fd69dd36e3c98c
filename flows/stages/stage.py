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

from flows.environment import with_hidden_proxies
from flows.errors import StageFailed
from flows.stages import graph

SECONDS_TO_STOP = 60.0  # a training that is stopped still writes its checkpoint
ERROR = "error: "  # begins a stage's error; further lines of it are indented
PROMOTION = "registry: "  # begins the line on what became of a stage's model
SECONDS_TO_LINGER = 5.0  # for workers that a stage leaves behind

# DVC's own lines; all others are the stage's.
_DVC_LINE = re.compile(
    r"(Running stage|Stage) '|> |(Updating|Generating) lock file|To (track|enable) |\tgit add|"
    r"\tdvc config|Use `dvc push`|Data and pipelines are up to date|Verifying data sources|\s*$|"
    r"ERROR: failed to reproduce|WARNING: Process '.*' with \(Pid \d+\), in RWLock-file"
)
_EXIT = re.compile(r"ERROR: failed to reproduce .* exited with (-?\d+)$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a stage."""

    stage: str
    state: str  # "run", "restored" from DVC's cache, or "fresh"
    seconds: float
    summary: str  # the last line that starts with the stage's name, without it; may be empty
    promotion: str = ""  # what became of its model in MLflow's registry, if it registered one


def reproduce(
    stage: str, say: Callable[[str], None], environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run one stage if it is not up to date.

    Args:
        stage: Its name in dvc.yaml. The stages before it must be up to date.
        say: Called with a heading, then with each line of the stage's output as it arrives, except
            the error that ends it; not called if the stage is fresh.
        environment: Additional environment variables.

    Raises:
        StageFailed: With the stage's exit code and its last error.
    """
    began = time.monotonic()
    if not graph.stale(stage):
        return Outcome(stage, "fresh", time.monotonic() - began, "")
    say(f"\n== {stage} ==")
    lines: list[str] = []
    error: list[str] = []  # not said yet: if it ends the stage, the caller reports it
    with _dvc_repro(stage, environment or {}) as process:
        for line in process.stdout or ():
            line = line.rstrip("\n")
            lines.append(line)
            if _DVC_LINE.match(line):
                continue
            if error and line.startswith(" "):
                error.append(line)
                continue
            for each in error:
                say(each)
            error = [line] if line.startswith(ERROR) else []
            if not error:
                say(line)
    if process.returncode:
        raise StageFailed(_error_message(stage, error, lines), _exit_code(lines))
    for each in error:
        say(each)
    ran = any(line.startswith("Running stage '") for line in lines)
    state = "run" if ran else "restored"
    return Outcome(stage, state, time.monotonic() - began, *_summaries(stage, lines))


def environment_of_stages() -> dict[str, str]:
    """The user's environment, with this Python's commands and this package on its paths."""
    return with_our_paths(with_hidden_proxies())


def with_our_paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Add the folders of this Python's commands and of this package to an environment's paths."""
    commands = [str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]
    packages = [str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")]
    return {
        **environment,
        "PATH": os.pathsep.join(commands),
        "PYTHONPATH": os.pathsep.join(filter(None, packages)),
        "PYTHONUNBUFFERED": "1",
    }


def command_ending_with_parent(module: str, *arguments: str) -> list[str]:
    """Command line that runs a Python module; on Linux, it ends with this process."""
    return [sys.executable, "-m", "flows.child", module, *arguments]


@contextlib.contextmanager
def _dvc_repro(stage: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run the command in its own process group, which is killed at the end of the block."""
    process = subprocess.Popen(
        command_ending_with_parent("dvc", "repro", "--single-item", stage),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**environment_of_stages(), **environment},
        start_new_session=True,
    )
    # A worker that the stage left behind may keep the pipe open after the command's end.
    threading.Thread(target=_kill_leftovers, args=[process], daemon=True).start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                _stop(process)
                raise
    finally:
        _kill_group(process)


def _kill_leftovers(process: subprocess.Popen[str]) -> None:
    if process.wait() >= 0:  # if a signal ended it, the stage may still be saving
        time.sleep(SECONDS_TO_LINGER)
        _kill_group(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the stage to stop, give it time to save, then kill the group.

    On Linux, where the stage is signalled when DVC ends, only DVC gets the signal, since the
    stage's workers must live while it saves. The pipe closes when the last process of the group has
    ended.
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
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended
        os.killpg(process.pid, signal.SIGKILL)


def _summaries(stage: str, lines: list[str]) -> tuple[str, str]:
    """The last line that starts with the stage's name, else its last line; and the promotion."""
    lines = [line for line in lines if not _DVC_LINE.match(line)]
    summary = (_with_prefix(f"{stage}: ", lines) or lines or [""])[-1]
    return summary, "".join(_with_prefix(PROMOTION, lines)[-1:])


def _with_prefix(prefix: str, lines: list[str]) -> list[str]:
    """The lines that start with a prefix, without it."""
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


def _exit_code(lines: list[str]) -> int:
    """The stage's exit code as DVC reports it; 1 if DVC itself failed."""
    codes = [int(match[1]) for line in lines if (match := _EXIT.match(line))]
    if not codes:
        return 1
    return 128 - codes[-1] if codes[-1] < 0 else codes[-1]


def _error_message(stage: str, error: list[str], lines: list[str]) -> str:
    """The error that ended the stage, else its last `error: ` line, else what DVC says."""
    errors = [line for line in lines if line.lower().startswith(ERROR)]
    of_stage = [line for line in errors if not line.startswith("ERROR: failed to reproduce")]
    if error or of_stage:
        text = "\n".join(error) or of_stage[-1]
        return f"stage '{stage}': {text.split(': ', 1)[-1]}"
    return f"stage '{stage}': {(errors or [f'exit code {_exit_code(lines)}'])[-1]}"
