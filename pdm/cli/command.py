"""Runs one command, and turns errors into one line and an exit code."""

import argparse
import ctypes
import errno
import logging
import os
import shutil
import signal
import sys
import traceback

from pdm.cli.arguments.commands import parser
from pdm.disk_full import DiskFull, place_of
from pdm.errors import INTERRUPTED, BadInput, PyramidError, Unavailable
from pdm.machine.openmp import set_spin_count

# Full (EFBIG: a limit on the size of files, by `ulimit -f`), failing, or mounted read-only.
DISK_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)
# A path that the user named is not what it has to be.
PATH_FAULTS = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Errors that a user can fix give one line on stderr, not a traceback."""
    commands = parser()
    args = commands.parse_args(argv)
    if "function" not in args:
        commands.print_help(sys.stderr)
        return BadInput.exit_code
    set_spin_count()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if "DVC_STAGE" in os.environ:
        _die_with_parent()
    try:
        _write_settings(args)
        args.function(args)
    except PyramidError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except FileNotFoundError as error:
        return _report_path(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except shutil.Error as error:  # of a copied folder: a list of (from, to, why), without errno
        _, place, why = error.args[0][0]
        print(f"error: {place}: {why}; check the disk, then run this again", file=sys.stderr)
        return Unavailable.exit_code
    except OSError as error:
        if error.errno in PATH_FAULTS:
            return _report_path(error)
        if error.errno not in DISK_FAULTS:
            traceback.print_exc()
            return 1
        print(f"error: {_disk_fault(error)}, then run this again", file=sys.stderr)
        return Unavailable.exit_code
    except Exception:  # noqa: BLE001 - a fault of ours: show all of it
        traceback.print_exc()
        return 1
    return 0


def _disk_fault(error: OSError) -> str:
    """What is wrong with the disk, where, and what to do."""
    place = f"{place_of(error)}: " if place_of(error) else ""
    if isinstance(error, DiskFull):
        return f"{place}{error.strerror}; free some, or write elsewhere"
    return f"{place}{(error.strerror or str(error)).lower()}; check the disk"


def _report_path(error: OSError) -> int:
    path = error.filename2 or error.filename or "a file"  # of a rename the user named the second
    print(f"error: {path}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
    return BadInput.exit_code


def _write_settings(args: argparse.Namespace) -> None:
    """Write the values of `--set` to the params file, so that DVC compares and MLflow records them.
    With a preset they are not written, since it is not the user's file."""
    if not getattr(args, "settings", None) or getattr(args, "preset", None):
        return
    from pdm.params.override import set_values

    for change in set_values(args.params, args.settings):
        print(f"{args.params}: {change}", flush=True)


def _die_with_parent() -> None:
    """End this stage if `dvc repro` is killed. Otherwise it would keep writing to outputs that the
    next repro clears."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
