"""Tells a network that is down from hosts that are down.

Without it, an hour without a network would mark a million good URLs as failed, each after its
time-out.
"""

import threading

MAX_FAILURES_OF_HOST = 8  # URLs in a row that did not reach it; its others are not tried


class CircuitBreaker:
    """Counts consecutive URLs that reached no server.

    Once any host has responded, a host that never did counts only once in a row: a list may end
    with a thousand URLs of a host that no longer exists, which says nothing about our network.

    Args:
        max_in_a_row: The breaker opens at this number.
    """

    def __init__(self, max_in_a_row: int) -> None:
        self._max = max_in_a_row
        self._lock = threading.Lock()
        self._responded: set[str] = set()
        self._failures: dict[str, int] = {}  # in a row, by host
        self._row: set[str] = set()
        self._num_in_a_row = 0

    def record_response(self, host: str) -> None:
        """Record that a host was reached, whatever its response."""
        with self._lock:
            self._responded.add(host)
            self._failures.pop(host, None)
            self._row.clear()
            self._num_in_a_row = 0

    def record_unreached(self, host: str) -> None:
        """Record that a URL failed because its host was not reached."""
        with self._lock:
            self._failures[host] = self._failures.get(host, 0) + 1
            may_be_alive = host in self._responded or not self._responded
            if may_be_alive or host not in self._row:
                self._num_in_a_row += 1
            self._row.add(host)

    def is_dead(self, host: str) -> bool:
        """Whether a host failed so often that it is not tried again."""
        with self._lock:
            return self._failures.get(host, 0) >= MAX_FAILURES_OF_HOST

    @property
    def is_open(self) -> bool:
        """Whether the network seems to be down."""
        with self._lock:
            return self._num_in_a_row >= self._max
