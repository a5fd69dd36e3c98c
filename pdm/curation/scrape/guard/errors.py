"""Errors of fetching."""

from datetime import UTC, datetime
from typing import Literal


class FetchError(Exception):
    """One attempt at a URL brought no picture.

    Args:
        status: "dropped" is final; "failed" may be tried again in a later run.
        reason: One word, as in the rows, such as "timeout".
        message: Details for a person, without credentials.
        retryable: Whether another attempt in this run may help.
        unreachable: There was no connection, because of the host or of our own network.
        retry_after_seconds: How long the server asked us to leave its host alone.
    """

    def __init__(
        self,
        status: Literal["failed", "dropped"],
        reason: str,
        message: str,
        *,
        retryable: bool = False,
        unreachable: bool = False,
        retry_after_seconds: float = 0.0,
    ) -> None:
        # A server's own words may hold escape sequences for a terminal.
        message = "".join(letter if letter.isprintable() else "?" for letter in message[:500])
        super().__init__(message)
        self.status: Literal["failed", "dropped"] = status
        self.reason, self.message = reason, message
        self.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.retryable, self.unreachable = retryable, unreachable
        self.retry_after_seconds = retry_after_seconds


class FetchCancelled(Exception):
    """The whole fetch was cancelled; this URL has no outcome."""


class LocalDiskError(Exception):
    """A body could not be written to our own disk. This ends the stage, not one URL.

    Not an `OSError`, which would be taken for a network error.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error
