"""Reasons for what img2dataset reports as free text (the text of Python's exceptions)."""

import re

from pdm.curation.scrape.entries import Outcome, dropped, failed

# The first that matches names the reason. A redirect loop is reported as an HTTP error, too.
_FAILED = (
    (r"would lead to an infinite loop|redirection to url .* is not allowed", "redirect"),
    (r"timed out|timeout", "timeout"),
    (r"connection refused|no route to host|network is unreachable|host is down", "connect"),
    (r"name or service not known|name resolution|nodename nor servname|getaddrinfo", "dns"),
    (r"ssl|certificate", "tls"),
    (r"connection reset|broken pipe|remote end closed|connection aborted", "reset"),
    (r"incompleteread", "short_body"),
)
_BAD_URL = (
    r"codec can't encode|unknown url type|no host given|invalidurl|control characters|"
    r"nonnumeric port"
)
_MAX_MESSAGE_CHARACTERS = 500


def outcome_of_error(text: str) -> Outcome:
    """The outcome of a URL that brought no image."""
    message = text[:_MAX_MESSAGE_CHARACTERS]
    lower = message.lower()
    if "x-robots-tag" in lower:
        return dropped("opted_out", message)
    if re.search(_BAD_URL, lower):
        return dropped("bad_url", message)
    for pattern, reason in _FAILED:
        if re.search(pattern, lower):
            return failed(reason, message)
    status = re.search(r"http error (\d{3})", lower)
    return failed(f"http_{status[1]}" if status else "other", message)
