"""An HTTP client for untrusted URLs: redirects, retries and rate limits, every address checked."""

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

from pdm.config.stages.scrape import ScrapeConfig
from pdm.curation.scrape.guard.addresses import AddressRule
from pdm.curation.scrape.guard.circuit_breaker import CircuitBreaker
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.host_limiter import HostLimiter
from pdm.curation.scrape.guard.resolver import Resolve, Resolver
from pdm.curation.scrape.guard.transport import urls
from pdm.curation.scrape.guard.transport.request import request
from pdm.curation.scrape.guard.transport.urls import host_and_port

MAX_REDIRECTS = 5
MAX_WAIT_SECONDS = 60.0  # between two attempts, and for what a server asks
_BASE_WAIT_SECONDS = 0.5
_REDIRECTS = frozenset([301, 302, 303, 307, 308])
_WHOLE = frozenset([HTTPStatus.OK, HTTPStatus.NON_AUTHORITATIVE_INFORMATION])
_RETRYABLE = frozenset([408, 425, 429])

T = TypeVar("T")


class HttpClient:
    """Sends GET requests. Safe for many threads."""

    def __init__(self, config: ScrapeConfig, resolve_name: Resolve, tls: ssl.SSLContext) -> None:
        self._config, self._tls = config, tls
        self._resolver = Resolver(resolve_name)
        self.hosts = HostLimiter(config.max_per_host, config.min_interval_seconds)
        self.breaker = CircuitBreaker(config.max_unreached_in_a_row)

    def get(
        self,
        url: str,
        rule: AddressRule,
        handle: Callable[[HTTPResponse, str], T],
        check_hop: Callable[[str], None],
    ) -> T:
        """Request a URL, and again up to `retries` times where that may help.

        Args:
            url: As `transport.urls.to_request_url` returns it.
            rule: Which addresses are allowed, at every hop.
            handle: Takes the final response and its URL; its result is returned.
            check_hop: Called with the URL of every hop before it is requested; may raise
                `FetchError`.

        Raises:
            FetchError: Of the last attempt.
            FetchCancelled: `hosts.close` was called meanwhile.
        """
        for number in range(self._config.retries):
            try:
                return self._attempt(url, rule, handle, check_hop)
            except FetchError as error:
                if not error.retryable:
                    raise
                # After a Retry-After, `hosts` makes us wait.
                if not error.retry_after_seconds:
                    self.hosts.sleep(_backoff_seconds(number))
        return self._attempt(url, rule, handle, check_hop)

    def _attempt(
        self,
        url: str,
        rule: AddressRule,
        handle: Callable[[HTTPResponse, str], T],
        check_hop: Callable[[str], None],
    ) -> T:
        seconds_left = self._config.timeout_seconds
        for _ in range(MAX_REDIRECTS + 1):
            check_hop(url)
            with self.hosts.slot(host_and_port(url)[0]):
                began = time.monotonic()  # waiting for the slot does not count
                with self._response_of(url, rule, began + seconds_left) as response:
                    if response.status not in _REDIRECTS:
                        return handle(response, url)
                    url = _redirect_target(url, response.headers)
                seconds_left -= time.monotonic() - began
        raise FetchError("dropped", "redirect", f"more than {MAX_REDIRECTS} redirects")

    @contextmanager
    def _response_of(self, url: str, rule: AddressRule, deadline: float) -> Iterator[HTTPResponse]:
        """Request a URL from one of its host's addresses, all of which must be allowed."""
        host, port = host_and_port(url)
        addresses = self._resolver.look_up(host, port, max(0.0, deadline - time.monotonic()))
        for address in addresses:
            reason = rule(address, port)
            if reason:
                raise FetchError("dropped", "blocked_address", f"{host} is {address}: {reason}")
        with request(url, addresses, self._tls, deadline) as response:
            self.breaker.record_response(host)
            yield response

    def check_status(self, response: HTTPResponse, url: str) -> None:
        """Accept a response with a whole body. After a Retry-After, no thread asks the host.

        Raises:
            FetchError: The status is another one. 4xx is final, except for `_RETRYABLE`.
        """
        status = response.status
        if status in _WHOLE or (status == HTTPStatus.PARTIAL_CONTENT and _is_all(response.headers)):
            return
        retry_after = 0.0
        if status in (429, 503):
            retry_after = min(MAX_WAIT_SECONDS, parse_retry_after(response.headers))
            self.hosts.pause(host_and_port(url)[0], retry_after)
        retryable = status in _RETRYABLE or status >= 500
        message = f"HTTP {status} {responses.get(status, '')}".strip()  # not the server's words
        raise FetchError(
            "dropped" if 400 <= status < 500 and not retryable else "failed",
            f"http_{status}",
            message,
            retryable=retryable,
            retry_after_seconds=retry_after,
        )


def _is_all(headers: Message) -> bool:
    """Whether a partial response, which was not asked for, holds the whole body."""
    stated = str(headers.get("Content-Range", "")).strip()
    match = re.fullmatch(r"bytes\s+0-(\d{1,18})/(\d{1,18})", stated)
    return match is not None and int(match[1]) + 1 == int(match[2])


def parse_retry_after(headers: Message) -> float:
    """Seconds that the server asks us to wait, or 0."""
    value = str(headers.get("Retry-After", "")).strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):  # the last: after the year 9999, in UTC
        return 0.0
    left: float = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, left)


def _backoff_seconds(number: int) -> float:
    """Exponential backoff with jitter: without it, all threads would come back at once."""
    # Randomness decides when we ask, never the result.
    return min(MAX_WAIT_SECONDS, _BASE_WAIT_SECONDS * 2.0**number) * random.uniform(0.5, 1.5)


def _redirect_target(url: str, headers: Message) -> str:
    location = _location(headers)
    if not location:
        raise FetchError("dropped", "redirect", "a redirect to nowhere")
    try:
        target = urls.resolve_redirect(url, location)
    except ValueError as error:
        message = f"a redirect to a URL that cannot be fetched: {error}"
        raise FetchError("dropped", "redirect", message) from error
    if url.startswith("https:") and target.startswith("http:"):
        raise FetchError("dropped", "redirect", "a redirect from https to http")
    return target


def _location(headers: Message) -> str:
    """The Location header as UTF-8. Other bytes are percent-encoded, as browsers do."""
    raw = headers.get("Location", "").strip().encode("latin-1", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return re.sub(rb"[\x80-\xff]", lambda match: b"%%%02X" % match[0][0], raw).decode("ascii")
