"""Undoing what servers do to bodies that were asked for as they are.

A coding that nobody knows is taken for none, as in browsers: object stores announce `aws-chunked`,
`utf-8` or `none` for files that lie in them as they are. Whether a picture came is for the decoder
to tell.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence

from pdm.curation.scrape.guard.faults import Fault

MAX_CODINGS = 5  # undone one after the other; as in curl
_PIECE_BYTES = 2**17
_GZIP = ("gzip", "x-gzip")
_DEFLATE = "deflate"
# Browsers know these; no library of ours does, and nobody may answer with them who was not asked.
_UNREADABLE = ("br", "zstd", "dcb", "dcz")
_GZIP_START = b"\x1f\x8b"
_NUM_BYTES_TO_TELL = 2  # which of the three formats it is
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


def decoded(pieces: Iterable[bytes], headers: Sequence[str], max_bytes: int) -> Iterator[bytes]:
    """A body without its codings, piece by piece, in bounded memory.

    Args:
        pieces: As they came.
        headers: The values of all `Content-Encoding` headers.
        max_bytes: No coding is given more bytes than this to undo.

    Raises:
        Fault: At once, if a coding cannot be undone; later, if it is damaged or too large.
    """
    codings = [coding.strip().lower() for header in headers for coding in header.split(",")]
    known = [coding for coding in codings if coding in (*_GZIP, _DEFLATE, *_UNREADABLE)]
    unreadable = next((coding for coding in known if coding in _UNREADABLE), None)
    if unreadable:
        message = f"Content-Encoding '{unreadable}', which was not asked for"
        raise Fault("failed", "bad_answer", message)
    if len(known) > MAX_CODINGS:
        raise Fault(
            "failed",
            "bad_answer",
            f"Content-Encoding of {len(known)} codings, the limit is {MAX_CODINGS}",
        )
    for coding in reversed(known):
        pieces = _inflated(pieces, coding, max_bytes)
    return iter(pieces)


def too_large(what: str, max_bytes: int) -> Fault:
    """The fault of a body above the limit."""
    return Fault("dropped", "too_large", f"{what}, the limit is {max_bytes:,}")


def _inflated(pieces: Iterable[bytes], coding: str, max_bytes: int) -> Iterator[bytes]:
    inflater = None
    num_received, rest = 0, b""
    try:
        for piece in pieces:
            num_received += len(piece)
            if num_received > max_bytes:  # endless nothing, which inflates to nothing
                raise too_large("more bytes came", max_bytes)
            rest += piece
            while rest and not (inflater and inflater.eof and _is_padding(rest)):
                if inflater is None or inflater.eof:  # gzip may have several parts
                    if len(rest) < _NUM_BYTES_TO_TELL:
                        break
                    inflater = zlib.decompressobj(_window_bits(rest, coding))
                yield inflater.decompress(rest, _PIECE_BYTES)
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise Fault("failed", "bad_answer", f"damaged {coding}: {error}") from error
    if not (inflater and inflater.eof) and num_received:
        raise Fault("failed", "short_body", f"{coding} without an end", again=True)


def _is_padding(rest: bytes) -> bool:
    """Whether what follows a compressed stream is not another one."""
    return not _GZIP_START.startswith(rest[: len(_GZIP_START)])


def _window_bits(start: bytes, coding: str) -> int:
    """`deflate` means zlib (RFC 9110, 8.4.1.2); many servers send it without zlib's head."""
    is_zlib = start[0] & 15 == zlib.DEFLATED and int.from_bytes(start[:2], "big") % 31 == 0
    has_head = is_zlib or start.startswith(_GZIP_START)
    return _RAW if coding == _DEFLATE and not has_head else _GZIP_OR_ZLIB
