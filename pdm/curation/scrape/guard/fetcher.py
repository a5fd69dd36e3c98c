"""Fetches one URL into a file, or says why not."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.guard.addresses import AddressRule
from pdm.curation.scrape.guard.consent import robots
from pdm.curation.scrape.guard.consent.opt_outs import opt_out
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.names import Resolve, resolve
from pdm.curation.scrape.guard.once import Once
from pdm.curation.scrape.guard.transport.bodies import Body, read_start, receive
from pdm.curation.scrape.guard.transport.urls import place_of
from pdm.curation.scrape.guard.visits import Visits

MIB = 2**20
_UNREADABLE = ("bad_answer", "short_body", "too_large")  # reasons of a robots.txt that is there


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A URL to fetch, what its list knows of it, and where it may lead."""

    url: str  # as `transport.urls.fetchable` gives it
    rule: AddressRule
    sha256: str | None = None  # of the picture, if the list tells it


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A picture that lies in a file."""

    body: Body
    final_url: str  # after redirects
    retrieved_at: str  # UTC, ISO 8601


class Fetcher:
    """Fetches URLs for many threads at once.

    Args:
        config: The limits.
        resolve_name: How names are looked up; the system's way by default.
        tls: Which certificates are trusted; those of the system by default.
    """

    def __init__(
        self,
        config: ScrapeConfig,
        *,
        resolve_name: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._visits = Visits(config, resolve_name, tls or ssl.create_default_context())
        self._robots: Once[tuple[str, AddressRule], robots.Robots] = Once()

    @property
    def network_is_down(self) -> bool:
        """Whether so many URLs in a row reached no server that the fault is likely ours."""
        return self._visits.breaker.is_open

    def close(self) -> None:
        """Wake all who wait for a host, and fetch nothing more."""
        self._visits.hosts.close()

    def fetch(self, target: Target, path: Path) -> Fetched:
        """Fetch a URL into a file.

        Raises:
            Fault: There is no picture to be had; why. The file may hold part of one.
            Closed: `close` was called meanwhile.
            OwnFault: The file cannot be written.
        """
        breaker, host = self._visits.breaker, place_of(target.url)[0]
        try:
            if breaker.is_dead(host):
                message = "its host did not answer for several URLs in a row; not tried"
                raise Fault("failed", "connect", message, unreached=True)
            return self._visits.visit(
                target.url,
                target.rule,
                take=lambda answer, url: self._picture(answer, url, target, path),
                permit=lambda url: self._ask_robots(url, target.rule),
            )
        except Fault as fault:
            if fault.unreached:
                breaker.unreached(host)
            raise

    def _picture(self, answer: HTTPResponse, url: str, target: Target, path: Path) -> Fetched:
        self._visits.check_status(answer, url)
        forbidden = opt_out(answer.headers) if self._config.respect_opt_outs else None
        if forbidden:
            raise Fault("dropped", "opted_out", forbidden)
        body = receive(answer, path, int(self._config.max_image_mib * MIB))
        if target.sha256 not in (None, body.sha256):
            message = f"its sha256 is {body.sha256}, the list says {target.sha256}"
            raise Fault("dropped", "hash_mismatch", message)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Fetched(body=body, final_url=url, retrieved_at=now)

    def _ask_robots(self, url: str, rule: AddressRule) -> None:
        if not self._config.respect_robots:
            return
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        rules = self._robots.get((origin, rule), lambda: self._robots_of(origin, rule))
        if not rules.allows(url):
            raise Fault("dropped", "opted_out", "robots.txt: Disallow")

    def _robots_of(self, origin: str, rule: AddressRule) -> robots.Robots:
        def take(answer: HTTPResponse, url: str) -> robots.Robots:
            if 400 <= answer.status < 500 and answer.status != 429:  # there are no rules
                return robots.Robots(())
            self._visits.check_status(answer, url)
            return robots.parse(read_start(answer, robots.MAX_BYTES).decode("utf-8", "replace"))

        try:
            return self._visits.visit(f"{origin}/robots.txt", rule, take, lambda url: None)
        except Fault as fault:
            if fault.reason == "redirect":  # RFC 9309, 2.3.1.2: as if there were none
                return robots.Robots(())
            # RFC 9309, 2.3.1.4: as if all were forbidden
            if fault.reason.startswith("http_") or fault.reason in _UNREADABLE:
                message = f"robots.txt: {fault.message}; nothing is fetched from this host now"
                raise Fault("failed", "robots_unavailable", message) from fault
            raise
