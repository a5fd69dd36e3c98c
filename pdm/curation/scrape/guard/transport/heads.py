"""Heads of HTTP answers, as servers in the wild write them, made fit for `http.client`.

Python's parser ends the headers at the first line that is none, and with them an opt-out below it;
it takes an interim answer such as 103 for the final one, and knows a chunked body by one spelling
alone. Browsers do better, and so does `with_readable_head`.
"""

import http.client
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_HEAD_BYTES = 2**18  # of all heads of one answer; as in Chrome
_BUFFER_BYTES = 2**16
_STATUS_LINE = re.compile(rb"HTTP/\d+(?:\.\d+)?[ \t]+(\d{3})(?:\s.*)?", re.IGNORECASE | re.DOTALL)
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:(.*)", re.DOTALL)
_SWITCHING_PROTOCOLS = 101


def with_readable_head(raw: io.RawIOBase) -> io.BufferedReader:
    """The final answer of a server, its head as `http.client` can read it, its body as it comes.

    Interim answers (1xx) are skipped, and lines that are no header left out.

    Args:
        raw: The bytes of the connection.

    Raises:
        http.client.RemoteDisconnected: The server ended the connection without an answer.
        http.client.HTTPException: What comes is no HTTP, or has no end.
        OSError: Reading failed.
    """
    stream = io.BufferedReader(raw, _BUFFER_BYTES)
    return io.BufferedReader(_Prefixed(_readable_head(stream), stream), _BUFFER_BYTES)


def _readable_head(stream: io.BufferedIOBase) -> bytes:
    """The status line, the headers and the empty line; what follows in the stream is the body."""
    num_left = MAX_HEAD_BYTES
    while True:
        lines = _head_lines(stream, num_left)
        num_left -= sum(map(len, lines))
        found = _STATUS_LINE.fullmatch(lines[0])
        if not found:
            raise http.client.BadStatusLine(repr(lines[0][:100].decode("latin-1")))
        status = int(found[1])
        if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
            headers = _with_one_transfer_coding(_headers(lines[1:]))
            return b"\r\n".join([b"HTTP/1.1 %d " % status, *headers, b"", b""])


def _head_lines(stream: io.BufferedIOBase, max_bytes: int) -> list[bytes]:
    """The status line and the lines up to the empty one, at least one line."""
    lines: list[bytes] = []
    while max_bytes > 0:
        line = stream.readline(max_bytes)
        max_bytes -= len(line)
        if not line and not lines:
            raise http.client.RemoteDisconnected("the connection ended without an answer")
        if not line or (lines and not line.strip(b"\r\n")):
            return lines
        if line.strip():  # some send an empty line first
            lines.append(line.rstrip(b"\r\n"))
    raise http.client.HTTPException(f"headers of more than {MAX_HEAD_BYTES:,} bytes")


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(name, value), in their order; a line that begins with white space goes on the one before."""
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


def _with_one_transfer_coding(headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Header lines in which a chunked body is announced in the one way that `http.client` knows."""
    name = b"transfer-encoding"
    codings = b",".join(value for key, value in headers if key.lower() == name).lower().split(b",")
    others = [(key, value) for key, value in headers if key.lower() != name]
    if b"chunked" in (coding.strip() for coding in codings):
        others.append((name, b"chunked"))
    # A lone return would end a line for Python's parser, and let a value pass for a header.
    return [b"%s: %s" % (key, re.sub(rb"[\r\0]", b" ", value)) for key, value in others]


class _Prefixed(io.RawIOBase):
    """Some bytes, then those of another stream."""

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
