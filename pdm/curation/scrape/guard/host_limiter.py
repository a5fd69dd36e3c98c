"""Rate limits for each host: few requests at once, not too fast, none while it asks us to wait."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pdm.curation.scrape.guard.errors import FetchCancelled


@dataclass(slots=True)
class _Host:
    active: int = 0
    ready_at: float = 0.0  # on the monotonic clock


class HostLimiter:
    """Makes threads wait until they may send a request to a host.

    Args:
        max_per_host: Requests to one host at the same time.
        min_interval_seconds: Between the starts of two requests to one host.
    """

    def __init__(self, max_per_host: int, min_interval_seconds: float) -> None:
        self._max_per_host, self._interval = max_per_host, min_interval_seconds
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def slot(self, name: str) -> Iterator[None]:
        """Wait for a free slot of a host, and hold it during the block.

        A thread holds one slot at a time, so there is no deadlock.

        Raises:
            FetchCancelled: `close` was called.
        """
        with self._changed:
            host = self._hosts.setdefault(name, _Host())
            while True:
                if self._closed:
                    raise FetchCancelled
                left = host.ready_at - time.monotonic()
                if host.active < self._max_per_host and left <= 0:
                    break
                self._changed.wait(None if host.active >= self._max_per_host else left)
            host.active += 1
            host.ready_at = time.monotonic() + self._interval
        try:
            yield
        finally:
            with self._changed:
                host.active -= 1
                self._changed.notify_all()

    def pause(self, name: str, seconds: float) -> None:
        """Start no request to a host for this time."""
        with self._changed:
            host = self._hosts.setdefault(name, _Host())
            host.ready_at = max(host.ready_at, time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until `close`.

        Raises:
            FetchCancelled: `close` was called.
        """
        until = time.monotonic() + seconds
        with self._changed:
            while not self._closed and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._closed:
                raise FetchCancelled

    def close(self) -> None:
        """Cancel all waiting threads, and let none through from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
