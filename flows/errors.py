"""The errors that end a run, each with an exit code.

The codes are those of `pyramid`: 2 bad input, 3 quality gate, 4 a service or resource is missing,
75 preempted and resumable, 130 interrupted.
"""

import errno
import signal

# A disk that is full, failing, or mounted read-only.
DISK_FAULTS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
)
BAD_INPUT, UNAVAILABLE, PREEMPTED, INTERRUPTED = 2, 4, 75, 130


class RunError(Exception):
    """Ends the run. The text is one line that says what to do."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StageFailed(RunError):
    """A stage ended with `exit_code`; a stage that a signal killed has 128 + its number."""

    @property
    def is_retryable(self) -> bool:
        """Whether a retry may help, because the cause is external and not the input."""
        return self.exit_code in (UNAVAILABLE, PREEMPTED) or (
            self.exit_code > 128 and self.exit_code != 128 + signal.SIGINT
        )
