"""Runs a command in a process group, and kills the whole group when it or our parent ends.

    python supervisor.py COMMAND ...

img2dataset's workers outlive it when it is killed. This process is between us and img2dataset: the
kernel signals it when its parent ends. Standard library only, since it is run as a file.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from types import FrameType


def main(command: list[str]) -> int:
    """Run the command, kill what it leaves behind, and return its exit code."""
    parent = os.getppid()
    with subprocess.Popen(command, start_new_session=True) as child:

        def end(number: int, frame: FrameType | None) -> None:
            _kill_group(child.pid)

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        if sys.platform == "linux":
            pr_set_pdeathsig = 1
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before prctl was called
            _kill_group(child.pid)
        code = child.wait()
        _kill_group(child.pid)
    return code


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
