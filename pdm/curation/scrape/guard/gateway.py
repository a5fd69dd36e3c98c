"""The door through which img2dataset fetches: a server on loopback, with a path for every key.

img2dataset is given `http://127.0.0.1:PORT/SECRET/KEY` instead of URLs. It never sees an address of
the world outside, follows no redirect and trusts no certificate: the gateway has fetched the whole
picture, with all checks, before it answers, and says 502 if there is none.
"""

import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

from pdm.curation.scrape.guard.faults import Closed, Fault, OwnFault
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target

Result = Fetched | Fault


class Gateway(ThreadingHTTPServer):
    """Serves what a fetcher fetches; see the module.

    Args:
        fetcher: Closed when the gateway ends.
        targets: By key.
        bodies: Folder for pictures on their way.
        settled: Called for every key as soon as its result is known, by any thread, with the file
            that holds the picture if there is one. It may move the file away.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        fetcher: Fetcher,
        targets: Mapping[str, Target],
        bodies: Path,
        settled: Callable[[str, Result, Path], None],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._fetcher, self._targets, self._bodies = fetcher, targets, bodies
        self._settled = settled
        self._secret = secrets.token_urlsafe(16)  # other users of this machine must not ask us
        self.results: dict[str, Result] = {}
        self.own_fault: OSError | None = None  # our disk is full: there is no use in going on

    def url_of(self, key: str) -> str:
        """Where img2dataset finds the picture of a key."""
        return f"http://127.0.0.1:{self.server_port}/{self._secret}/{key}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the block runs."""
        thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._fetcher.close()
            self.shutdown()
            thread.join()
            self.server_close()

    def key_of(self, path: str) -> str | None:
        """The key that a path asks for, if it is one of ours."""
        _, secret, key = [*path.split("/"), "", ""][:3]
        ours = secrets.compare_digest(secret.encode(), self._secret.encode())
        return key if ours and key in self._targets else None

    @contextmanager
    def opened(self, key: str) -> Iterator[tuple[Fetched, BinaryIO]]:
        """Fetch a picture and open the file with it, for the length of the block.

        Raises:
            Fault: There is none.
            Closed: The gateway ends.
        """
        path = self._bodies / key
        try:
            found = self._fetcher.fetch(self._targets[key], path)
            with path.open("rb") as file:
                self._settle(key, found, path)
                yield found, file
        except Fault as fault:
            self._settle(key, fault, path)
            raise
        except OwnFault as fault:
            raise self._given_up(fault.error) from fault
        finally:
            path.unlink(missing_ok=True)

    def _settle(self, key: str, result: Result, path: Path) -> None:
        try:
            self._settled(key, result, path)
        except OSError as error:
            raise self._given_up(error) from error
        self.results[key] = result

    def _given_up(self, error: OSError) -> Closed:
        self.own_fault = error
        self._fetcher.close()
        return Closed()


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        key = self.server.key_of(self.path)
        if key is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            with self.server.opened(key) as (found, file):
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Length", str(found.body.size))
                self.end_headers()
                copyfileobj(file, self.wfile, 2**18)
        except Fault as fault:
            self.send_error(HTTPStatus.BAD_GATEWAY, fault.reason)
        except Closed:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # img2dataset was ended
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what was fetched stands in the rows."""
