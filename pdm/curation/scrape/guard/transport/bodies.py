"""Receives bodies of unknown size and content, in bounded memory and disk space."""

import hashlib
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from pdm.curation.scrape.formats import is_whole
from pdm.curation.scrape.guard.errors import FetchError, LocalDiskError
from pdm.curation.scrape.guard.transport.content_codings import decode, too_large_error
from pdm.disk_full import naming_full_disk

_PIECE_BYTES = 2**17
_MAX_CODED_FACTOR = 4  # bytes received for each byte of a text; more is an attack


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was written to a file."""

    size: int
    sha256: str


def receive_body(response: http.client.HTTPResponse, path: Path, max_bytes: int) -> Body:
    """Write the body of a response to a file, without its content codings.

    A body that is shorter than announced is accepted if it ends as a picture of its format must:
    some servers send a wrong Content-Length.

    Args:
        response: Its headers are read, its body is not.
        path: Is overwritten.
        max_bytes: Limit of what is received and of what is decoded from it.

    Raises:
        FetchError: Too large, empty, cut short, or in a coding that cannot be undone.
        ConnectionError: The connection broke before the picture was complete.
        LocalDiskError: The file cannot be written.
    """
    if response.length is not None and response.length > max_bytes:
        raise too_large_error(f"{response.length:,} bytes announced", max_bytes)
    pieces = _Pieces(response)
    digest, size = hashlib.sha256(), 0
    with _local_disk_errors(path):
        file = path.open("wb", buffering=0)
    with file:
        for piece in decode(pieces, response.headers.get_all("Content-Encoding", []), max_bytes):
            size += len(piece)
            if size > max_bytes:
                raise too_large_error("more bytes came", max_bytes)
            digest.update(piece)
            with _local_disk_errors(path):
                _write_all(file, piece)
    if pieces.error and not is_whole(path):
        raise pieces.error
    if not size:
        raise FetchError("failed", "short_body", "the response is empty", retryable=True)
    return Body(size, digest.hexdigest())


def read_start(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The first `max_bytes` bytes of a body of any size, without its content codings.

    Raises:
        FetchError: It is cut short, or in a coding that cannot be undone.
        ConnectionError: The connection broke.
    """
    pieces, start = _Pieces(response), b""
    encodings = response.headers.get_all("Content-Encoding", [])
    for piece in decode(pieces, encodings, _MAX_CODED_FACTOR * max_bytes):
        start += piece
        if len(start) >= max_bytes:
            return start[:max_bytes]
    if pieces.error:
        raise pieces.error
    return start


class _Pieces:
    """The body piece by piece. If the connection ends too early, so does the iterator, and `error`
    says so afterwards."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response, self._announced = response, response.length
        self.error: FetchError | ConnectionError | None = None

    def __iter__(self) -> Iterator[bytes]:
        response = self._response
        # `read` returns nothing of a chunk that is cut short.
        read = response.read1 if response.chunked else response.read
        try:
            while piece := read(_PIECE_BYTES):
                yield piece
        except http.client.IncompleteRead:
            message = "the last chunk did not come"
            self.error = FetchError("failed", "short_body", message, retryable=True)
        except ConnectionError as error:
            self.error = error
        if not self.error and response.length:  # bytes that were announced and did not come
            message = f"{response.length:,} of {self._announced:,} bytes did not come"
            self.error = FetchError("failed", "short_body", message, retryable=True)


def _write_all(file: FileIO, piece: bytes) -> None:
    """Write all of it: at the end of a disk, a write takes a part and only the next one fails."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def _local_disk_errors(path: Path) -> Iterator[None]:
    try:
        with naming_full_disk(path, path):
            yield
    except OSError as error:
        raise LocalDiskError(error) from error
