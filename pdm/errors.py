"""The errors a user may meet, each with the exit code that tells a scheduler what to do next.

0 is success, 1 a fault of ours (with its traceback). Everything raised here ends as one line on the
terminal: the text must name the thing, its value and what to do.
"""


class PyramidError(Exception):
    """Base of every expected failure."""

    exit_code = 1


class BadInput(PyramidError):
    """Params, a path or a file that the user gave cannot be used. Trying again will not help."""

    exit_code = 2


class QualityGate(PyramidError):
    """The stage ran, but its result is not good enough to hand on. Nothing was published."""

    exit_code = 3


class Unavailable(PyramidError):
    """A service or a resource is missing (disk, GPU, network). Trying again later may help."""

    exit_code = 4


class Preempted(PyramidError):
    """Stopped by SIGTERM after a checkpoint was written. Running again goes on from there."""

    exit_code = 75


INTERRUPTED = 130  # ctrl-C; never 0, or a scheduler would take half a run for a whole one
