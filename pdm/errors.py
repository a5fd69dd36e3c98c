"""The expected errors, each with the exit code that tells a scheduler what to do.

0 is success, 1 a bug (with its traceback). Expected errors end as one line on the terminal, so the
text must name the thing, its value and what to do.
"""


class PyramidError(Exception):
    """Base class of all expected errors."""

    exit_code = 1


class BadInput(PyramidError):
    """Params, a path or a file from the user cannot be used. Retrying will not help."""

    exit_code = 2


class QualityGate(PyramidError):
    """The stage ran, but its result is not good enough. Nothing was published."""

    exit_code = 3


class Unavailable(PyramidError):
    """A service or resource is missing (disk, GPU, network). Retrying later may help."""

    exit_code = 4


class Preempted(PyramidError):
    """Stopped by SIGTERM after saving a checkpoint. Running again resumes from it."""

    exit_code = 75


INTERRUPTED = 130  # ctrl-C; not 0, or a scheduler would take half a run for a complete one
TERMINATED = 143  # SIGTERM in a stage that saves no checkpoint: 128 and the signal, as in a shell


def why(error: Exception) -> str:
    """Say why something failed, for a message that names the path itself: for an error of the
    operating system its words alone, such as "no such file or directory"."""
    words = error.strerror if isinstance(error, OSError) else None
    return words.lower() if words else str(error)
