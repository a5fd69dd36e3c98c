"""Asking for a URL: redirects, retries, turns at hosts, and every address checked on the way."""

import email.utils
import random
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import Message
from http import HTTPStatus
from http.client import HTTPResponse, responses
from typing import TypeVar

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.guard.addresses import AddressRule
from pdm.curation.scrape.guard.breaker import Breaker
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.hosts import Hosts
from pdm.curation.scrape.guard.names import Names, Resolve
from pdm.curation.scrape.guard.transport import urls
from pdm.curation.scrape.guard.transport.request import request
from pdm.curation.scrape.guard.transport.urls import place_of

MAX_REDIRECTS = 5
MAX_WAIT_SECONDS = 60.0  # however long a server asks us to wait, and between two tries
_BASE_WAIT_SECONDS = 0.5
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_WHOLE = frozenset([HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION])
_AGAIN = frozenset([408, 425, 429])

T = TypeVar("T")


class Visits:
    """Asks for URLs, for many threads at once."""

    def __init__(self, config: ScrapeConfig, resolve_name: Resolve, tls: ssl.SSLContext) -> None:
        self._config, self._tls = config, tls
        self._names = Names(resolve_name)
        self.hosts = Hosts(config.max_per_host, config.min_interval_seconds)
        self.breaker = Breaker(config.max_unreached_in_a_row)

    def visit(
        self,
        url: str,
        rule: AddressRule,
        take: Callable[[HTTPResponse, str], T],
        permit: Callable[[str], None],
    ) -> T:
        """Ask for a URL, once and then `retries` times where that may help.

        Args:
            url: As `transport.urls.fetchable` gives it.
            rule: Which addresses may be asked, at every hop.
            take: Makes of an answer that is no redirect, and of its URL, what is returned.
            permit: Called before every hop, with its URL; may raise `Fault`.

        Raises:
            Fault: Of the last try.
            Closed: `hosts.close` was called meanwhile.
        """
        for number in range(self._config.retries):
            try:
                return self._attempt(url, rule, take, permit)
            except Fault as fault:
                if not fault.again:
                    raise
                # A host that told us when to come back is waited for at its turn.
                if not fault.wait_seconds:
                    self.hosts.sleep(_wait_before_retry(number))
        return self._attempt(url, rule, take, permit)

    def _attempt(
        self,
        url: str,
        rule: AddressRule,
        take: Callable[[HTTPResponse, str], T],
        permit: Callable[[str], None],
    ) -> T:
        left = self._config.timeout_seconds
        for _ in range(MAX_REDIRECTS + 1):
            permit(url)
            with self.hosts.turn(place_of(url)[0]):
                began = time.monotonic()  # of the try: waiting for our turn is not fetching
                with self._answer(url, rule, began + left) as answer:
                    if answer.status not in _REDIRECTS:
                        return take(answer, url)
                    url = _next_hop(url, answer.headers)
                left -= time.monotonic() - began
        raise Fault("dropped", "redirect", f"more than {MAX_REDIRECTS} redirects")

    @contextmanager
    def _answer(self, url: str, rule: AddressRule, deadline: float) -> Iterator[HTTPResponse]:
        """Ask a host at one of its addresses, all of which must be allowed."""
        host, port = place_of(url)
        addresses = self._names.addresses(host, port, max(0.0, deadline - time.monotonic()))
        for address in addresses:
            reason = rule(address, port)
            if reason:
                raise Fault("dropped", "blocked_address", f"{host} is {address}: {reason}")
        with request(url, addresses, self._tls, deadline) as answer:
            self.breaker.answered(host)
            yield answer

    def check_status(self, answer: HTTPResponse, url: str) -> None:
        """Let an answer with a whole body pass. A host that asks for rest is given it, whoever
        wants to ask it next.

        Raises:
            Fault: Any other status: final below 500, but for those that ask us to come back.
        """
        status = answer.status
        if status in _WHOLE or (status == HTTPStatus.PARTIAL_CONTENT and _is_all(answer.headers)):
            return
        wait = 0.0
        if status in (429, 503):
            wait = min(MAX_WAIT_SECONDS, retry_after(answer.headers))
            self.hosts.rest(place_of(url)[0], wait)
        again = status in _AGAIN or status >= 500
        message = f"HTTP {status} {responses.get(status, '')}".strip()  # ours, not the server's
        raise Fault(
            "dropped" if 400 <= status < 500 and not again else "failed",
            f"http_{status}",
            message,
            again=again,
            wait_seconds=wait,
        )


def _is_all(headers: Message) -> bool:
    """Whether a part that nobody asked for is the whole."""
    found = re.fullmatch(r"bytes\s+0-(\d+)/(\d+)", str(headers.get("Content-Range", "")).strip())
    return found is not None and int(found[1]) + 1 == int(found[2])


def retry_after(headers: Message) -> float:
    """Seconds that a server asks us to wait, or 0."""
    value = str(headers.get("Retry-After", "")).strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return 0.0
    left: float = (when.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, left)


def _wait_before_retry(number: int) -> float:
    """Longer each time, and different for everyone, or all would come back at once."""
    # Chance decides when we ask, never what comes out.
    return min(MAX_WAIT_SECONDS, _BASE_WAIT_SECONDS * 2.0**number) * random.uniform(0.5, 1.5)


def _next_hop(url: str, headers: Message) -> str:
    location = _location(headers)
    if not location:
        raise Fault("dropped", "redirect", "a redirect to nowhere")
    try:
        following = urls.next_hop(url, location)
    except ValueError as error:
        message = f"a redirect to a URL that cannot be fetched: {error}"
        raise Fault("dropped", "redirect", message) from error
    if url.startswith("https:") and following.startswith("http:"):
        raise Fault("dropped", "redirect", "a redirect from https to http")
    return following


def _location(headers: Message) -> str:
    """Where a redirect leads: UTF-8, or bytes that nobody can name, percent-encoded as they are."""
    raw = headers.get("Location", "").strip().encode("latin-1", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return re.sub(rb"[\x80-\xff]", lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
