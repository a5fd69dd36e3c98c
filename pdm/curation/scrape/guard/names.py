"""Looking up names, in bounded time, once for all requests to a host."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable

from pdm.curation.scrape.guard.faults import Fault

# Addresses of a name for a port. May raise OSError.
Resolve = Callable[[str, int], list[str]]

KEEP_SECONDS = 300.0
MAX_ADDRESSES = 8  # of one name; more serve nobody


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system finds them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Names:
    """What names were found to mean. A name is looked up again after some minutes, not before."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    def addresses(self, host: str, port: int, seconds: float) -> list[str]:
        """All addresses of a host, at least one.

        Raises:
            Fault: It has none, or the answer did not come within `seconds`.
        """
        known = self._known.get((host, port))
        if known and time.monotonic() - known[0] < KEEP_SECONDS:
            return known[1]
        found = self._looked_up(host, port, seconds)
        self._known[host, port] = (time.monotonic(), found)
        return found

    def _looked_up(self, host: str, port: int, seconds: float) -> list[str]:
        answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._resolve(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        # The system's resolver knows no time limit of ours: what it takes longer, it takes alone.
        threading.Thread(target=look_up, daemon=True).start()
        answer: list[str] | Exception = TimeoutError("no answer from the name server in time")
        with contextlib.suppress(queue.Empty):
            answer = answers.get(timeout=seconds)
        if isinstance(answer, Exception):
            # A name that does not exist was answered; without a network there is no answer.
            for_now = isinstance(answer, TimeoutError) or (
                isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN
            )
            message = f"{host}: {answer}"
            raise Fault("failed", "dns", message, again=for_now, unreached=for_now) from answer
        if not answer:
            raise Fault("failed", "dns", f"{host} has no address")
        return answer[:MAX_ADDRESSES]
