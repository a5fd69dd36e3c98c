"""One HTTP request over one connection to a checked address, with a deadline.

The connection goes to an address that was checked, and the name is not looked up again, so DNS
rebinding has no effect. Certificates are always checked, against the name. Every wait on the socket
ends at the deadline, also for a server that sends a byte a second.
"""

import contextlib
import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from pdm.curation.scrape.guard.consent.opt_outs import AGENT
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.transport.heads import with_readable_head
from pdm.curation.scrape.guard.transport.urls import host_and_port

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_USER_AGENT = f"Mozilla/5.0 (compatible; {AGENT})"


@contextmanager
def request(
    url: str, addresses: Sequence[str], tls: ssl.SSLContext, deadline: float
) -> Iterator[http.client.HTTPResponse]:
    """Request a URL; yield the response with its headers read and its body not.

    Args:
        url: As `transport.urls.to_request_url` returns it.
        addresses: Checked addresses of its host; they are tried in this order.
        tls: Trusted certificates.
        deadline: On the monotonic clock; also for reading the body.

    Raises:
        FetchError: There was no response, or reading the body in the block failed.
    """
    with contextlib.ExitStack() as stack:
        with _fetch_errors(is_connected=False):
            plain = stack.enter_context(_connect(addresses, host_and_port(url)[1], deadline))
        with _fetch_errors(is_connected=True):
            connection = plain
            if url.startswith("https:"):
                plain.settimeout(_seconds_left(deadline))
                connection = tls.wrap_socket(plain, server_hostname=host_and_port(url)[0])
                stack.enter_context(connection)
            connection.settimeout(_seconds_left(deadline))
            connection.sendall(_request_head(url))
            stream = cast(socket.socket, _Stream(connection, deadline))  # only makefile is used
            response = stack.enter_context(http.client.HTTPResponse(stream, method="GET", url=url))
            response.begin()
            yield response


def _request_head(url: str) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # identity: pictures are compressed already, and gzip allows decompression bombs.
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"User-Agent: {_USER_AGENT}",
        "Accept: image/*,*/*;q=0.8",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _connect(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    last_error: OSError = OSError("no address")
    for number, address in enumerate(addresses):
        # A share of the time, so that a silent address leaves some for the others.
        seconds = _seconds_left(deadline) / (len(addresses) - number)
        try:
            return socket.create_connection((address, port), timeout=seconds)
        except OSError as error:
            last_error = error
    raise last_error


def _seconds_left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("scrape.timeout_seconds is over")
    return seconds


class _Stream(io.RawIOBase):
    """Reads a socket until the deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._connection.settimeout(_seconds_left(self._deadline))
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return with_readable_head(self)


@contextmanager
def _fetch_errors(*, is_connected: bool) -> Iterator[None]:
    """Turn the exceptions of sockets and `http.client` into `FetchError`."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise FetchError("failed", "tls", f"certificate refused: {error.verify_message}") from error
    except (TimeoutError, http.client.HTTPException, OSError) as error:
        raise FetchError(
            "failed",
            _reason(error, is_connected),
            str(error) or type(error).__name__,
            retryable=True,
            unreachable=not is_connected,
        ) from error


def _reason(error: Exception, is_connected: bool) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if not is_connected:
        return "connect"
    if isinstance(error, http.client.IncompleteRead):
        return "short_body"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, OSError):  # http.client's RemoteDisconnected among them
        return "reset"
    return "bad_response"
