"""Telling a network that is down from hosts that are.

Without it, an hour without network would turn a list of a million good URLs into a million failed
ones, each after its time-out.
"""

import threading

DEAD_HOST_FAULTS = 8  # URLs of one host in a row; its later ones are not tried in this run


class Breaker:
    """Counts URLs in a row that reached no server.

    A host that never answered in this run counts once in a row as soon as another host has
    answered: a list may end with a thousand URLs of a host that is no more, and that says nothing
    about our network.

    Args:
        max_in_a_row: So many, and the breaker is open.
    """

    def __init__(self, max_in_a_row: int) -> None:
        self._max = max_in_a_row
        self._lock = threading.Lock()
        self._answered: set[str] = set()
        self._silent: dict[str, int] = {}  # faults in a row, by host
        self._row: set[str] = set()
        self._num_in_a_row = 0

    def answered(self, host: str) -> None:
        """Note that a host was reached, whatever it said."""
        with self._lock:
            self._answered.add(host)
            self._silent.pop(host, None)
            self._row.clear()
            self._num_in_a_row = 0

    def unreached(self, host: str) -> None:
        """Note that a URL failed because its host was not reached."""
        with self._lock:
            self._silent[host] = self._silent.get(host, 0) + 1
            known_to_live = host in self._answered or not self._answered
            if known_to_live or host not in self._row:
                self._num_in_a_row += 1
            self._row.add(host)

    def is_dead(self, host: str) -> bool:
        """Whether a host was silent so often that it is not asked again."""
        with self._lock:
            return self._silent.get(host, 0) >= DEAD_HOST_FAULTS

    @property
    def is_open(self) -> bool:
        """Whether nothing seems to be reachable any more."""
        with self._lock:
            return self._num_in_a_row >= self._max
