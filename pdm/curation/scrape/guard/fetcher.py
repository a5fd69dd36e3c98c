"""Fetches one URL into a file, or raises why not."""

import ssl
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pdm.config.stages.scrape import ScrapeConfig
from pdm.curation.scrape.guard.addresses import AddressRule
from pdm.curation.scrape.guard.client import HttpClient
from pdm.curation.scrape.guard.consent import robots
from pdm.curation.scrape.guard.consent.opt_outs import find_opt_out
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.resolver import Resolve, resolve
from pdm.curation.scrape.guard.single_flight import SingleFlight
from pdm.curation.scrape.guard.transport.bodies import Body, read_start, receive_body
from pdm.curation.scrape.guard.transport.urls import host_and_port

MIB = 2**20
# Reasons for which robots.txt exists, but is broken.
_UNREADABLE = ("bad_response", "short_body", "too_large")


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A URL to fetch and the addresses it may lead to."""

    url: str  # as `transport.urls.to_request_url` gives it
    rule: AddressRule
    sha256: str | None = None  # of the picture, if the list has it
    ready: Future[Any] | None = None  # it is requested once this is done; None: at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A picture that was written to a file."""

    body: Body
    final_url: str  # after redirects
    retrieved_at: str  # UTC, ISO 8601


class Fetcher:
    """Fetches URLs. Safe for many threads.

    Args:
        config: The limits.
        resolve_name: Looks up names; the system's resolver by default.
        tls: Trusted certificates; those of the system by default.
    """

    def __init__(
        self,
        config: ScrapeConfig,
        *,
        resolve_name: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._client = HttpClient(config, resolve_name, tls or ssl.create_default_context())
        self._robots: SingleFlight[tuple[str, AddressRule], robots.RobotsRules] = SingleFlight()

    @property
    def network_is_down(self) -> bool:
        """Whether so many URLs in a row reached no server that our network is likely down."""
        return self._client.breaker.is_open

    def close(self) -> None:
        """Cancel all waiting fetches, and fetch nothing more."""
        self._client.hosts.close()

    def fetch(self, target: Target, path: Path) -> Fetched:
        """Fetch a URL into a file.

        Raises:
            FetchError: There is no picture. The file may hold part of one.
            FetchCancelled: `close` was called meanwhile.
            LocalDiskError: The file cannot be written.
        """
        breaker, host = self._client.breaker, host_and_port(target.url)[0]
        try:
            if breaker.is_dead(host):
                message = "its host did not answer for several URLs in a row; not tried"
                raise FetchError("failed", "connect", message, unreachable=True)
            return self._client.get(
                target.url,
                target.rule,
                handle=lambda response, url: self._receive_picture(response, url, target, path),
                check_hop=lambda url: self._check_robots(url, target.rule),
            )
        except FetchError as error:
            if error.unreachable:
                breaker.record_unreached(host)
            raise

    def _receive_picture(
        self, response: HTTPResponse, url: str, target: Target, path: Path
    ) -> Fetched:
        self._client.check_status(response, url)
        opt_out = find_opt_out(response.headers) if self._config.respect_opt_outs else None
        if opt_out:
            raise FetchError("dropped", "opted_out", opt_out)
        body = receive_body(response, path, int(self._config.max_image_mib * MIB))
        if target.sha256 not in (None, body.sha256):
            message = f"its sha256 is {body.sha256}, the list says {target.sha256}"
            raise FetchError("dropped", "hash_mismatch", message)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Fetched(body=body, final_url=url, retrieved_at=now)

    def _check_robots(self, url: str, rule: AddressRule) -> None:
        if not self._config.respect_robots:
            return
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        rules = self._robots.get((origin, rule), lambda: self._fetch_robots(origin, rule))
        if not rules.allows(url):
            raise FetchError("dropped", "opted_out", "robots.txt: Disallow")

    def _fetch_robots(self, origin: str, rule: AddressRule) -> robots.RobotsRules:
        def parse(response: HTTPResponse, url: str) -> robots.RobotsRules:
            if 400 <= response.status < 500 and response.status != 429:  # the host has no rules
                return robots.RobotsRules(())
            self._client.check_status(response, url)
            text = read_start(response, robots.MAX_BYTES).decode("utf-8", "replace")
            return robots.parse_robots(text)

        try:
            return self._client.get(f"{origin}/robots.txt", rule, parse, lambda url: None)
        except FetchError as error:
            if error.reason == "redirect":  # RFC 9309, 2.3.1.2: as if there were none
                return robots.RobotsRules(())
            # RFC 9309, 2.3.1.4: as if everything were disallowed
            if error.reason.startswith("http_") or error.reason in _UNREADABLE:
                message = f"robots.txt: {error.message}; nothing is fetched from this host now"
                raise FetchError("failed", "robots_unavailable", message) from error
            raise
