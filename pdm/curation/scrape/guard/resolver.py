"""Looks up host names with a time limit, and caches the answers."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable

from pdm.curation.scrape.guard.errors import FetchError

# Takes a name and a port; returns addresses. May raise OSError.
Resolve = Callable[[str, int], list[str]]

KEEP_SECONDS = 300.0
MAX_ADDRESSES = 8  # of one name; the others are ignored


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, by the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Looks up names, and remembers their addresses for `KEEP_SECONDS`."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    def look_up(self, host: str, port: int, seconds: float) -> list[str]:
        """All addresses of a host, at least one.

        Raises:
            FetchError: It has none, or the answer did not come within `seconds`.
        """
        known = self._known.get((host, port))
        if known and time.monotonic() - known[0] < KEEP_SECONDS:
            return known[1]
        found = self._look_up_within(host, port, seconds)
        self._known[host, port] = (time.monotonic(), found)
        return found

    def _look_up_within(self, host: str, port: int, seconds: float) -> list[str]:
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        # The system's resolver takes no time limit, so it runs in a thread that is left behind.
        threading.Thread(target=look_up, daemon=True).start()
        answer: list[str] | Exception = TimeoutError("no answer from the name server in time")
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=seconds)
        if isinstance(answer, Exception):
            # A name server that says "no such name" answered; without a network, none does.
            is_transient = isinstance(answer, TimeoutError) or (
                isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN
            )
            raise FetchError(
                "failed",
                "dns",
                f"{host}: {answer}",
                retryable=is_transient,
                unreachable=is_transient,
            ) from answer
        if not answer:
            raise FetchError("failed", "dns", f"{host} has no address")
        return answer[:MAX_ADDRESSES]
