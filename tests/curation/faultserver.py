"""A web server with every fault that a fetcher must survive, one path for each, on loopback."""

import functools
import gzip
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

JPEG = b"\xff\xd8\xff\xe0 picture"


@functools.cache
def bomb() -> bytes:
    """A hundred kilobytes of gzip that become a hundred megabytes."""
    return gzip.compress(bytes(100 * 2**20))


class FaultServer(ThreadingHTTPServer):
    """Counts what it was asked, path by path, and how many slow requests it had at once."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.hits: Counter[str] = Counter()
        self.times: list[float] = []  # of the requests for anything but robots.txt
        self.agents: set[str] = set()
        self.headers_seen: list[dict[str, str]] = []
        self.robots: tuple[int, str] = (404, "")
        self.active = self.most_active = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is what most tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = parts.path.strip("/").partition("/")[0]
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self.server.lock:
            self.server.hits[parts.path] += 1
            self.number = self.server.hits[parts.path]
            self.server.headers_seen.append(dict(self.headers))
            if name != "robots.txt":
                self.server.times.append(time.monotonic())
        try:
            with suppress(OSError):
                getattr(self, f"serve_{name.replace('.', '_').replace('-', '_')}", self.missing)()
        finally:
            self.close_connection = True

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, **headers: str) -> None:
        """An answer of unknown length."""
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def missing(self) -> None:
        self.reply(404)

    def serve_ok(self) -> None:
        self.reply(200, JPEG)

    def serve_status(self) -> None:
        self.reply(int(self.query["code"]), b"words")

    def serve_slow(self) -> None:
        with self.server.lock:
            self.server.active += 1
            self.server.most_active = max(self.server.most_active, self.server.active)
        self.server.stopping.wait(float(self.query.get("seconds", "30")))
        with self.server.lock:
            self.server.active -= 1
        self.reply(200, JPEG)

    def serve_drip(self) -> None:
        """A byte now and then, for ever, each before a time-out for one read strikes."""
        self.begin()
        self.drip()

    def serve_drip_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.drip()

    def drip(self) -> None:
        while not self.server.stopping.wait(0.05):
            self.wfile.write(b"x")
            self.wfile.flush()

    def serve_endless(self) -> None:
        self.begin()
        while not self.server.stopping.is_set():
            self.wfile.write(bytes(2**18))

    def serve_announced(self) -> None:
        self.begin(Content_Length=self.query["bytes"])
        self.wfile.write(JPEG)

    def serve_gzip_bomb(self) -> None:
        self.reply(200, bomb(), Content_Encoding="gzip")

    def serve_gzip(self) -> None:
        self.reply(200, gzip.compress(JPEG), Content_Encoding="gzip")

    def serve_brotli(self) -> None:
        self.reply(200, JPEG, Content_Encoding="br")

    def serve_chunked(self) -> None:
        self.begin(Transfer_Encoding="chunked")
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(JPEG), JPEG))

    def serve_chunked_short(self) -> None:
        self.begin(Transfer_Encoding="chunked")
        self.wfile.write(b"ff\r\n" + JPEG)

    def serve_empty(self) -> None:
        self.reply(200)

    def serve_loop(self) -> None:
        self.reply(302, Location=self.path)

    def serve_hop(self) -> None:
        """/hop?left=N goes on for N more redirects and ends at a picture."""
        left = int(self.query["left"])
        self.reply(301, Location=f"/hop?left={left - 1}" if left else "/ok")

    def serve_to(self) -> None:
        self.reply(int(self.query.get("code", "302")), Location=self.query["url"])

    def serve_nowhere(self) -> None:
        self.reply(302)

    def serve_flaky(self) -> None:
        """/flaky/NAME?code=503&times=2: fails so often, then is well."""
        if self.number <= int(self.query["times"]):
            wait = {"Retry_After": self.query["wait"]} if "wait" in self.query else {}
            self.reply(int(self.query.get("code", "503")), **wait)
        else:
            self.reply(200, JPEG)

    def serve_reset(self) -> None:
        """Half a body, then a reset."""
        self.begin(Content_Length="1000000")
        self.wfile.write(bytes(1000))
        self.wfile.flush()
        time.sleep(0.1)
        linger_no_time = b"\x01\0\0\0\0\0\0\0"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
        self.connection.close()

    def serve_hangup(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def serve_garbage(self) -> None:
        self.wfile.write(b"\x1b[31mSSH-2.0-OpenSSH\r\n\r\n")

    def serve_tagged(self) -> None:
        """/tagged?name=X-Robots-Tag&value=noai: a picture with that header."""
        self.reply(200, JPEG, **{self.query["name"]: self.query["value"]})

    def serve_robots_txt(self) -> None:
        self.reply(self.server.robots[0], self.server.robots[1].encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[FaultServer]:
    with FaultServer(tls, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
