"""The reasons for which a URL fails and may be fetched again. The reasons of rows that are dropped
are final; docs/decisions/img2dataset.md explains both."""

import difflib
import re
from collections.abc import Collection

from pdm.errors import BadInput

REASONS = (
    "timeout",
    "dns",
    "connect",
    "tls",
    "reset",
    "short_body",
    "bad_response",
    "robots_unavailable",
    "http_4xx",
    "http_5xx",
    "not_fetched",
    "damaged",
    "unreadable_file",
)
# Of a client's error only these may change; other unusual codes may all.
_STATUS = re.compile(r"http_(?:[1235](?:\d\d|xx)|4xx|408|425|429)")


def check_reasons(reasons: Collection[str]) -> None:
    """Check the reasons whose failures are to be fetched again.

    Args:
        reasons: Each one of `REASONS`, or one HTTP status, such as http_503.

    Raises:
        BadInput: No URL fails for one of these; its text names the nearest reason, and all.
    """
    for reason in reasons:
        if reason not in REASONS and not _STATUS.fullmatch(reason):
            near = difflib.get_close_matches(reason, REASONS, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise BadInput(
                f"'{reason}' is no reason for which a URL is fetched again; {hint}"
                f"there are {', '.join(REASONS)}, and single codes such as http_503"
            )


def is_among(reason: str, reasons: Collection[str]) -> bool:
    """Whether a failure's reason is named, by itself or with others of its kind: http_5xx means
    500 to 599."""
    kinds = {reason, f"{reason[:6]}xx"} if reason.startswith("http_") else {reason}
    return not kinds.isdisjoint(reasons)
