"""A small HTTP server on loopback, so that built-in pictures are fetched like all others."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from shutil import copyfileobj
from urllib.parse import unquote, urlsplit


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # do not wait for slow responses
    request_queue_size = 128

    def __init__(self, files: Mapping[str, Path], slow: Mapping[str, float]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.slow = files, slow
        self.stopping = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path in self.server.slow:
            self.server.stopping.wait(self.server.slow[path])
        file = self.server.files.get(path)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", guess_type(file.name)[0] or "application/octet-stream")
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()
        with file.open("rb") as content:
            copyfileobj(content, self.wfile)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the client timed out
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the rows hold all results."""


@contextmanager
def serve(files: Mapping[str, Path], slow: Mapping[str, float]) -> Iterator[str]:
    """Serve files on 127.0.0.1, on a free port, during the block. Anything else is a 404.

    Args:
        files: By path of the URL, such as "/a.jpg". No other file can be reached.
        slow: By path, the seconds to wait before the response.

    Yields:
        The server's URL, without a slash at its end.
    """
    with _Server(files, slow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
