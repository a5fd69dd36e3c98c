"""One request over one connection to an address that was checked, ended at a deadline.

The connection goes to an address, never to a name: whatever the name means a moment later, nobody
asks again. Certificates are always checked, against the name. Every wait on the socket is cut at
the deadline, so a server that sends a byte a second gains nothing by it.
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
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.transport.heads import with_readable_head
from pdm.curation.scrape.guard.transport.urls import place_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_USER_AGENT = f"Mozilla/5.0 (compatible; {AGENT})"


@contextmanager
def request(
    url: str, addresses: Sequence[str], tls: ssl.SSLContext, deadline: float
) -> Iterator[http.client.HTTPResponse]:
    """Ask for a URL; yield the answer, its headers read and its body not.

    Args:
        url: As `transport.urls.fetchable` gives it.
        addresses: Where its host may be reached, all of them checked. The first that takes the
            connection is asked.
        deadline: On the monotonic clock; also for reading the body.

    Raises:
        Fault: No answer came about, or reading the body in the block failed.
    """
    with contextlib.ExitStack() as stack:
        with _named_faults(reached=False):
            plain = stack.enter_context(_connected(addresses, place_of(url)[1], deadline))
        with _named_faults(reached=True):
            connection = plain
            if url.startswith("https:"):
                plain.settimeout(_left(deadline))
                connection = tls.wrap_socket(plain, server_hostname=place_of(url)[0])
                stack.enter_context(connection)
            connection.settimeout(_left(deadline))
            connection.sendall(_head(url))
            stream = cast(socket.socket, _Stream(connection, deadline))  # it asks for makefile only
            answer = stack.enter_context(http.client.HTTPResponse(stream, method="GET", url=url))
            answer.begin()
            yield answer


def _head(url: str) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # identity: a few bytes of gzip can be a gigabyte, and pictures are compressed as they are.
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"User-Agent: {_USER_AGENT}",
        "Accept: image/*,*/*;q=0.8",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _connected(addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
    error: OSError = OSError("no address")
    for number, address in enumerate(addresses):
        share = _left(deadline) / (len(addresses) - number)  # a silent one leaves time for others
        try:
            return socket.create_connection((address, port), timeout=share)
        except OSError as failure:
            error = failure
    raise error


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time for this picture is over")
    return seconds


class _Stream(io.RawIOBase):
    """Reads a socket, waiting no longer than the deadline."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._connection.settimeout(_left(self._deadline))
        return self._connection.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return with_readable_head(self)


@contextmanager
def _named_faults(*, reached: bool) -> Iterator[None]:
    """Turn what Python raises into faults with a reason."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Fault("failed", "tls", f"certificate refused: {error.verify_message}") from error
    except (TimeoutError, http.client.HTTPException, OSError) as error:
        reason = _reason(error, reached)
        message = str(error) or type(error).__name__
        raise Fault("failed", reason, message, again=True, unreached=not reached) from error


def _reason(error: Exception, reached: bool) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if not reached:
        return "connect"
    if isinstance(error, http.client.IncompleteRead):
        return "short_body"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, OSError):  # http.client's RemoteDisconnected among them
        return "reset"
    return "bad_answer"
