"""Cleans the heads of HTTP responses for `http.client`, which is stricter than browsers.

Python's parser stops at the first line that is not a header, and so misses an opt-out below it. It
takes an interim response such as 103 for the final one, and knows only one spelling of chunked.
"""

import http.client
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_HEAD_BYTES = 2**18  # of all heads of one response; as in Chrome
_BUFFER_BYTES = 2**16
_STATUS_LINE = re.compile(rb"HTTP/\d+(?:\.\d+)?[ \t]+(\d{3})(?:\s.*)?", re.IGNORECASE | re.DOTALL)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_SWITCHING_PROTOCOLS = 101


def with_readable_head(raw: io.RawIOBase) -> io.BufferedReader:
    """The final response of a server, with a head that `http.client` can read.

    Interim responses (1xx) and lines that are not headers are left out; the body is unchanged.

    Args:
        raw: The bytes of the connection.

    Raises:
        http.client.RemoteDisconnected: The server closed the connection without a response.
        http.client.HTTPException: The response is not HTTP, or its head is too long.
        OSError: Reading failed.
    """
    stream = io.BufferedReader(raw, _BUFFER_BYTES)
    return io.BufferedReader(_Prefixed(_readable_head(stream), stream), _BUFFER_BYTES)


def _readable_head(stream: io.BufferedIOBase) -> bytes:
    """Status line, headers and empty line. Afterwards the stream is at the body."""
    num_left = MAX_HEAD_BYTES
    while True:
        lines = _head_lines(stream, num_left)
        num_left -= sum(map(len, lines))
        match = _STATUS_LINE.fullmatch(lines[0])
        if not match:
            raise http.client.BadStatusLine(repr(lines[0][:100].decode("latin-1")))
        status = int(match[1])
        if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
            headers = _header_lines(_parse_headers(lines[1:]))
            return b"\r\n".join([b"HTTP/1.1 %d " % status, *headers, b"", b""])


def _head_lines(stream: io.BufferedIOBase, max_bytes: int) -> list[bytes]:
    """The status line and the header lines, without line ends."""
    lines: list[bytes] = []
    while max_bytes > 0:
        line = stream.readline(max_bytes)
        max_bytes -= len(line)
        if not line and not lines:
            raise http.client.RemoteDisconnected("the server closed the connection")
        if not line or (lines and not line.strip(b"\r\n")):
            return lines
        if line.strip():  # some servers send an empty line first
            lines.append(line.rstrip(b"\r\n"))
    raise http.client.HTTPException(f"headers of more than {MAX_HEAD_BYTES:,} bytes")


def _parse_headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(name, value) in order. A line that begins with white space continues the one before it."""
    headers: list[tuple[bytes, bytes]] = []
    is_skipped = True
    for line in lines:
        header = _HEADER.fullmatch(line)
        if line[:1] in b" \t":
            if not is_skipped:
                name, value = headers[-1]
                headers[-1] = (name, value + b" " + line.strip())
            continue
        is_skipped = header is None
        if header:
            headers.append((header[1], header[2].strip()))
    return headers


def _header_lines(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Header lines in which chunked is spelled as `http.client` knows it."""
    name = b"transfer-encoding"
    codings = b",".join(value for key, value in headers if key.lower() == name).lower().split(b",")
    others = [(key, value) for key, value in headers if key.lower() != name]
    if b"chunked" in (coding.strip() for coding in codings):
        others.append((name, b"chunked"))
    # For Python's parser, a lone carriage return would begin a new header.
    return [b"%s: %s" % (key, re.sub(rb"[\r\0]", b" ", value)) for key, value in others]


class _Prefixed(io.RawIOBase):
    """Some bytes, followed by another stream."""

    def __init__(self, prefix: bytes, rest: io.BufferedIOBase) -> None:
        self._prefix, self._rest = prefix, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if not self._prefix:
            return self._rest.readinto1(buffer)
        view = memoryview(buffer).cast("B")
        num_bytes = min(len(view), len(self._prefix))
        view[:num_bytes] = self._prefix[:num_bytes]
        self._prefix = self._prefix[num_bytes:]
        return num_bytes
