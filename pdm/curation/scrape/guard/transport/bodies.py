"""Taking in a body of unknown size, kind and honesty, in bounded memory and disk."""

import hashlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pdm.curation.scrape.formats import is_whole
from pdm.curation.scrape.guard.faults import Fault, OwnFault
from pdm.curation.scrape.guard.transport.content_codings import decoded, too_large

_PIECE_BYTES = 2**17
_MAX_CODED_FACTOR = 4  # a small text may grow a little by its coding, but not without end


@dataclass(frozen=True, slots=True)
class Body:
    """A body that lies in a file, whole."""

    size: int
    sha256: str


def receive(answer: http.client.HTTPResponse, path: Path, max_bytes: int) -> Body:
    """Write the body of an answer to a file, and stop at the limit.

    We ask for bodies as they are. A server that sends gzip all the same is understood, and the
    limit holds for what comes out of it. A body that is shorter than announced will do if it ends
    as a picture of its format must: some servers count wrongly.

    Raises:
        Fault: Too large, empty, cut short, or in a coding that we do not read.
        ConnectionError: The connection broke before the picture was whole.
        OwnFault: The file cannot be written.
    """
    if answer.length is not None and answer.length > max_bytes:
        raise too_large(f"{answer.length:,} bytes announced", max_bytes)
    pieces = _Pieces(answer)
    digest, size = hashlib.sha256(), 0
    with _own_disk():
        file = path.open("wb", buffering=0)
    with file:
        for piece in decoded(pieces, answer.headers.get_all("Content-Encoding", []), max_bytes):
            size += len(piece)
            if size > max_bytes:
                raise too_large("more bytes came", max_bytes)
            digest.update(piece)
            with _own_disk():
                file.write(piece)
    if pieces.fault and not is_whole(path):
        raise pieces.fault
    if not size:
        raise Fault("failed", "short_body", "the answer is empty", again=True)
    return Body(size, digest.hexdigest())


def read_start(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The first bytes of a body of any size, without its codings.

    Raises:
        Fault: It is cut short, or in a coding that we do not read.
        ConnectionError: The connection broke.
    """
    pieces, start = _Pieces(answer), b""
    encodings = answer.headers.get_all("Content-Encoding", [])
    for piece in decoded(pieces, encodings, _MAX_CODED_FACTOR * max_bytes):
        start += piece
        if len(start) >= max_bytes:
            return start[:max_bytes]
    if pieces.fault:
        raise pieces.fault
    return start


class _Pieces:
    """The body as it comes. It ends where the connection does; `fault` says if that is too soon."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer, self._announced = answer, answer.length
        self.fault: Fault | ConnectionError | None = None

    def __iter__(self) -> Iterator[bytes]:
        answer = self._answer
        # Of a chunk that breaks off, `read` gives nothing.
        read = answer.read1 if answer.chunked else answer.read
        try:
            while piece := read(_PIECE_BYTES):
                yield piece
        except http.client.IncompleteRead:
            self.fault = Fault("failed", "short_body", "the last chunk did not come", again=True)
        except ConnectionError as error:
            self.fault = error
        if not self.fault and answer.length:  # what is still to come of what was announced
            missing = f"{answer.length:,} of {self._announced:,} bytes did not come"
            self.fault = Fault("failed", "short_body", missing, again=True)


@contextmanager
def _own_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OwnFault(error) from error
