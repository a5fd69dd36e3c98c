"""The gateway between img2dataset and the web: a server on loopback, with a path for every key.

img2dataset gets `http://127.0.0.1:PORT/SECRET/KEY` instead of URLs. It never sees an outside
address, follows no redirect and trusts no certificate: the gateway fetches the whole picture, with
all checks, before it answers, and answers 502 if there is none.
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

from pdm.curation.scrape.guard.errors import FetchCancelled, FetchError, LocalDiskError
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target

Result = Fetched | FetchError


class Gateway(ThreadingHTTPServer):
    """Serves what a fetcher fetches; see the module.

    Args:
        fetcher: Is closed when the gateway ends.
        targets: By key.
        bodies: Folder for pictures in transit.
        on_result: Called for every key as soon as its result is known, by any thread, with the
            path of the picture if there is one. It may move the file away.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        fetcher: Fetcher,
        targets: Mapping[str, Target],
        bodies: Path,
        on_result: Callable[[str, Result, Path], None],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._fetcher, self._targets, self._bodies = fetcher, targets, bodies
        self._on_result = on_result
        self._secret = secrets.token_urlsafe(16)  # keeps other users of this machine out
        self.results: dict[str, Result] = {}
        self.error: Exception | None = None  # such as a full disk; nothing can go on

    def url_of(self, key: str) -> str:
        """The address from which img2dataset gets the picture of a key."""
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
        """The key in a requested path, if the secret is right and the key known."""
        _, secret, key = [*path.split("/"), "", ""][:3]
        is_secret = secrets.compare_digest(secret.encode(), self._secret.encode())
        return key if is_secret and key in self._targets else None

    @contextmanager
    def open_picture(self, key: str) -> Iterator[tuple[Fetched, BinaryIO]]:
        """Fetch a picture, and hold its file open during the block.

        Raises:
            FetchError: There is no picture.
            FetchCancelled: The gateway ends.
        """
        path, target = self._bodies / key, self._targets[key]
        self._wait_until_ready(target)
        try:
            fetched = self._fetcher.fetch(target, path)
            with path.open("rb") as file:
                self._record(key, fetched, path)
                yield fetched, file
        except FetchError as error:
            self._record(key, error, path)
            raise
        except LocalDiskError as error:
            raise self._cancel(error.error) from error
        finally:
            path.unlink(missing_ok=True)

    def _wait_until_ready(self, target: Target) -> None:
        """Wait here, not at the server: this takes no slot of the host and none of its time."""
        try:
            if target.ready is not None:
                target.ready.result()
        except Exception as error:
            raise self._cancel(error) from error

    def _record(self, key: str, result: Result, path: Path) -> None:
        try:
            self._on_result(key, result, path)
        except OSError as error:
            raise self._cancel(error) from error
        self.results[key] = result

    def _cancel(self, error: Exception) -> FetchCancelled:
        self.error = error
        self._fetcher.close()
        return FetchCancelled()


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        key = self.server.key_of(self.path)
        if key is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            with self.server.open_picture(key) as (fetched, file):
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Length", str(fetched.body.size))
                self.end_headers()
                copyfileobj(file, self.wfile, 2**18)
        except FetchError as error:
            self.send_error(HTTPStatus.BAD_GATEWAY, error.reason)
        except FetchCancelled:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # img2dataset was killed
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the rows hold all results."""
