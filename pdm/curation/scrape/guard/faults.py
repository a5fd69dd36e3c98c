"""Why a URL brought no picture."""

from datetime import UTC, datetime
from typing import Literal


class Fault(Exception):
    """The end of one try.

    Args:
        status: "dropped" is final, "failed" may be tried again another day.
        reason: One word of the kind that rows carry, such as "timeout".
        message: What was seen, for a person; holds no credentials.
        again: Whether another try in this run may help.
        unreached: No connection came about: the fault of a host or of our own network.
        wait_seconds: What the server asked us to wait before we ask its host for anything.
    """

    def __init__(
        self,
        status: Literal["failed", "dropped"],
        reason: str,
        message: str,
        *,
        again: bool = False,
        unreached: bool = False,
        wait_seconds: float = 0.0,
    ) -> None:
        # A server's own words may hold escapes that a terminal would obey.
        message = "".join(letter if letter.isprintable() else "?" for letter in message[:500])
        super().__init__(message)
        self.status: Literal["failed", "dropped"] = status
        self.reason, self.message = reason, message
        self.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.again, self.unreached, self.wait_seconds = again, unreached, wait_seconds


class Closed(Exception):
    """The fetch as a whole has been given up; nothing is to be written about this URL."""


class OwnFault(Exception):
    """Our own disk refused a body: the end of the stage, not of one URL.

    Not an `OSError`, which would be taken for one of the network.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error
