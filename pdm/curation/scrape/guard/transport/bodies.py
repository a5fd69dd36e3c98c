"""Taking in a body of unknown size, kind and honesty, in bounded memory and disk."""

import hashlib
import http.client
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pdm.curation.scrape.guard.faults import Fault, OwnFault

_CHUNK_BYTES = 2**17


@dataclass(frozen=True, slots=True)
class Body:
    """A body that lies in a file, whole."""

    size: int
    sha256: str


def receive(answer: http.client.HTTPResponse, path: Path, max_bytes: int) -> Body:
    """Write the body of an answer to a file, and stop at the limit.

    We ask for bodies as they are. A server that sends gzip all the same is understood, and the
    limit holds for what comes out of it.

    Raises:
        Fault: Too large, empty, shorter than announced, or in a coding that we do not read.
        OwnFault: The file cannot be written.
    """
    announced = answer.length
    if announced is not None and announced > max_bytes:
        raise _too_large(f"{announced:,} bytes announced", max_bytes)
    digest, size = hashlib.sha256(), 0
    with _own_disk():
        file = path.open("wb", buffering=0)
    with file:
        for piece in _decoded(answer, max_bytes):
            size += len(piece)
            if size > max_bytes:
                raise _too_large("more bytes came", max_bytes)
            digest.update(piece)
            with _own_disk():
                file.write(piece)
    if answer.length:  # what is still to come of what was announced
        missing = f"{answer.length:,} of {announced:,} bytes did not come"
        raise Fault("failed", "short_body", missing, again=True)
    if not size:
        raise Fault("failed", "short_body", "the answer is empty", again=True)
    return Body(size, digest.hexdigest())


@contextmanager
def _own_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OwnFault(error) from error


def _decoded(answer: http.client.HTTPResponse, max_bytes: int) -> Iterator[bytes]:
    coding = (answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if coding in ("identity", ""):
        return _pieces(answer)
    if coding in ("gzip", "x-gzip", "deflate"):
        return _inflated(answer, max_bytes)
    raise Fault(
        "failed", "bad_answer", f"Content-Encoding '{coding[:40]}', which was not asked for"
    )


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := answer.read(_CHUNK_BYTES):
        yield piece


def _inflated(answer: http.client.HTTPResponse, max_bytes: int) -> Iterator[bytes]:
    gzip_or_zlib = 32 + zlib.MAX_WBITS
    inflater = zlib.decompressobj(gzip_or_zlib)
    received = 0
    try:
        for piece in _pieces(answer):
            received += len(piece)
            if received > max_bytes:  # endless nothing, which inflates to nothing
                raise _too_large("more bytes came", max_bytes)
            while piece and not inflater.eof:
                yield inflater.decompress(piece, _CHUNK_BYTES)
                piece = inflater.unconsumed_tail
    except zlib.error as error:
        raise Fault("failed", "bad_answer", f"damaged gzip: {error}") from error
    if not inflater.eof:
        raise Fault("failed", "short_body", "gzip without an end", again=True)


def _too_large(seen: str, max_bytes: int) -> Fault:
    return Fault("dropped", "too_large", f"{seen}, the limit is {max_bytes:,}")
