"""`python -m flows.child MODULE ARGUMENTS...`: like `python -m MODULE`, but ends with its parent.

A flow that is killed cannot stop what it started, but the kernel can.
"""

import ctypes
import runpy
import signal
import sys


def main() -> None:
    """Become the module that the command line names."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
