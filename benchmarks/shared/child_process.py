"""Measuring in a process of its own, and the memory that such a process takes."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from benchmarks.shared.checkout import ROOT

MIB = 2**20


def run_module(module: str, *words: str) -> str:
    """Run a module of the benchmarks in a new process, and return the last line that it prints.

    Raises:
        RuntimeError: It failed; the text has its last words.
    """
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join(done.stderr.splitlines()[-20:])
        raise RuntimeError(f"{module} {' '.join(words)} ended with code {done.returncode}:\n{end}")
    return done.stdout.splitlines()[-1]


def memory_bytes(what: Literal["VmRSS", "VmHWM"]) -> int:
    """Memory of this process: now (VmRSS), or at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def reset_peak() -> None:
    """Let the peak of this process count from here."""
    Path("/proc/self/clear_refs").write_text("5")
