"""Undoes content codings, which servers apply although identity was asked for.

An unknown coding counts as none, as in browsers: object stores announce `aws-chunked`, `utf-8` or
`none` for plain files. Curation decides whether the result is a picture.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence

from pdm.curation.scrape.guard.errors import FetchError

MAX_CODINGS = 5  # of one body; as in curl
_PIECE_BYTES = 2**17
_GZIP = ("gzip", "x-gzip")
_DEFLATE = "deflate"
# Browsers decode these when they asked for them. We ask for none, and have no decoder.
_UNREADABLE = ("br", "zstd", "dcb", "dcz")
_GZIP_START = b"\x1f\x8b"
_NUM_MAGIC_BYTES = 2
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


def decode(pieces: Iterable[bytes], headers: Sequence[str], max_bytes: int) -> Iterator[bytes]:
    """A body without its content codings, piece by piece, in bounded memory.

    Args:
        pieces: The body as received.
        headers: Values of all `Content-Encoding` headers.
        max_bytes: Limit of the bytes that go into each decoder.

    Raises:
        FetchError: At once, if a coding cannot be undone; during the iteration, if the body is
            damaged or too large.
    """
    codings = [coding.strip().lower() for header in headers for coding in header.split(",")]
    known = [coding for coding in codings if coding in (*_GZIP, _DEFLATE, *_UNREADABLE)]
    unreadable = next((coding for coding in known if coding in _UNREADABLE), None)
    if unreadable:
        message = f"Content-Encoding '{unreadable}', which was not asked for"
        raise FetchError("failed", "bad_response", message)
    if len(known) > MAX_CODINGS:
        raise FetchError(
            "failed",
            "bad_response",
            f"Content-Encoding of {len(known)} codings, the limit is {MAX_CODINGS}",
        )
    for coding in reversed(known):
        pieces = _inflate(pieces, coding, max_bytes)
    return iter(pieces)


def too_large_error(what: str, max_bytes: int) -> FetchError:
    """The error of a body above the limit."""
    return FetchError("dropped", "too_large", f"{what}, the limit is {max_bytes:,}")


def _inflate(pieces: Iterable[bytes], coding: str, max_bytes: int) -> Iterator[bytes]:
    inflater = None
    num_received, rest = 0, b""
    try:
        for piece in pieces:
            num_received += len(piece)
            if num_received > max_bytes:  # empty deflate blocks, without end
                raise too_large_error("more bytes came", max_bytes)
            rest += piece
            while rest and not (inflater and inflater.eof and _is_padding(rest)):
                if inflater is None or inflater.eof:  # gzip may have several members
                    if len(rest) < _NUM_MAGIC_BYTES:
                        break
                    inflater = zlib.decompressobj(_window_bits(rest, coding))
                yield inflater.decompress(rest, _PIECE_BYTES)
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise FetchError("failed", "bad_response", f"damaged {coding}: {error}") from error
    if not (inflater and inflater.eof) and num_received:
        raise FetchError("failed", "short_body", f"{coding} without an end", retryable=True)


def _is_padding(rest: bytes) -> bool:
    """Whether the bytes after a compressed stream are not another gzip member."""
    return not _GZIP_START.startswith(rest[: len(_GZIP_START)])


def _window_bits(start: bytes, coding: str) -> int:
    """`deflate` means zlib (RFC 9110, 8.4.1.2), but many servers send it without zlib's header."""
    is_zlib = start[0] & 15 == zlib.DEFLATED and int.from_bytes(start[:2], "big") % 31 == 0
    has_header = is_zlib or start.startswith(_GZIP_START)
    return _RAW if coding == _DEFLATE and not has_header else _GZIP_OR_ZLIB
