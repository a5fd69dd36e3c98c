"""Runs one command of a rehearsal in a process of its own, and measures it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.2
MIB, GIB = 2**20, 2**30
# Settings of the user's own project: a rehearsal must not reach its trackers, cluster or schedule.
FOREIGN = ("MLFLOW_", "PYRAMID_", "RAY_", "DVC_", "PREFECT_")
TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE")


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Args:
        exit_code: Of the command; 4 if it took too much memory or was killed.
        seconds: Wall-clock time.
        host_bytes: Peak resident memory of the process and its children.
        device_bytes: Peak memory on the GPUs; None without `nvidia-smi`.
        error: Its last line that says what is wrong; empty if it succeeded.
    """

    exit_code: int
    seconds: float
    host_bytes: int
    device_bytes: int | None
    error: str


def run(
    words: Sequence[str],
    folder: Path,
    *,
    max_bytes: int | None = None,
    interrupt: bool = False,
) -> Measured:
    """Run `python -m WORDS` in the folder; its output is added to `rehearsal.log` there.

    Args:
        words: Module and arguments.
        folder: Current folder of the command.
        max_bytes: The command is stopped if it takes more resident memory; None for no limit.
        interrupt: Send SIGTERM as soon as the command handles it, as a scheduler would.
    """
    log = folder / "rehearsal.log"
    began, start = time.monotonic(), log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env=_environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            host, device, exceeded = _watch(process, max_bytes, interrupt)
        finally:
            _end(process)
    seconds = time.monotonic() - began
    if exceeded and max_bytes is not None:
        error = f"took more than {max_bytes / GIB:.1f} GiB of memory and was stopped"
        return Measured(4, seconds, host, device, error)
    if process.returncode < 0:
        return Measured(4, seconds, host, device, _end_by_signal(-process.returncode, host))
    failed = process.returncode not in (0, 75) or (process.returncode == 75 and not interrupt)
    error = _error(log, start) if failed else ""
    return Measured(process.returncode, seconds, host, device, error)


def _environment() -> dict[str, str]:
    known = os.environ.items()
    return {k: v for k, v in known if not k.startswith(FOREIGN) and k not in TORCHRUN}


def _watch(
    process: "subprocess.Popen[bytes]", max_bytes: int | None, interrupt: bool
) -> tuple[int, int | None, bool]:
    """Wait for the end; give peak memory of host and devices, and whether it was too much."""
    host, device = 0, None
    while process.poll() is None:
        host = max(host, _resident_bytes(process.pid))
        if shutil.which("nvidia-smi"):
            device = max(device or 0, _device_bytes(process.pid))
        if max_bytes is not None and host > max_bytes:
            return host, device, True
        if interrupt and _handles_sigterm(process.pid):
            process.send_signal(signal.SIGTERM)
            interrupt = False
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return host, device, False


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children; pages that they share count once each."""
    total = 0
    for one in _family(pid):
        try:
            memory = one.memory_info()
        except psutil.Error:
            continue  # it has ended since it was listed
        total += memory.rss - getattr(memory, "shared", 0) * (one.pid != pid)
    return total


def _device_bytes(pid: int) -> int:
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    family = {one.pid for one in _family(pid)}
    rows = (line.split(",") for line in done.stdout.splitlines() if line.count(",") == 1)
    numbers = ((int(a), int(b)) for a, b in rows if b.strip().isdigit())
    return sum(used * MIB for number, used in numbers if number in family)


def _handles_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM; known on Linux only."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and its children, if they still run."""
    if process.poll() is None:
        for one in reversed(_family(process.pid)):
            one.kill()
        process.wait()


def _end_by_signal(number: int, host_bytes: int) -> str:
    """Say which signal ended a command; SIGKILL is mostly the system that is short of memory."""
    text = f"ended by {signal.Signals(number).name} at {host_bytes / GIB:.1f} GiB"
    if number == signal.SIGKILL:
        text += ". If nobody killed it, the machine ran out of memory: end other programs"
    return text


def _error(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    named = [line for line in lines if line.startswith("error: ")]
    return (named or lines or ["it said nothing"])[-1].removeprefix("error: ")
