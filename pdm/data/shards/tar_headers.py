"""Reads a tar's headers strictly and in order, without reading content.

Other tar readers take a damaged header in the middle for the end of the tar, follow links and trust
sizes. Here every header is checked first: its checksum, a plain file name, a regular file, a size
that fits into the tar. Nothing is extracted.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pdm.data.shards.tars import Member

BLOCK = 512  # bytes; headers and contents begin at multiples of it
END = bytes(BLOCK)

KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.DIRTYPE: "a folder",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True, slots=True)
class BadHeader:
    """A header that is refused: the name in it (None if it is not a header at all), and why."""

    name: str | None
    fault: str


def scan(path: Path, max_member_bytes: int) -> Iterator[Member | BadHeader]:
    """Yield each member in order, or the fault of its header.

    The scan ends at a header after which the next one cannot be found.

    Args:
        path: Of an uncompressed tar.
        max_member_bytes: Larger members are refused.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        while True:
            file.seek(place)
            block = file.read(BLOCK)
            if block == END:
                if file.read(BLOCK) != END:
                    yield BadHeader(None, f"its end mark at byte {place:,} is cut short or damaged")
                return
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                yield BadHeader(None, f"no header at byte {place:,} ({error}); the rest is unread")
                return
            begin = place + BLOCK
            place = begin + -(-header.size // BLOCK) * BLOCK
            if header.size < 0 or begin + header.size > total:
                yield BadHeader(
                    _printable(header.name),
                    f"announces {header.size:,} bytes, more than the tar has",
                )
                return
            fault = _fault(header, max_member_bytes)
            if fault is None:
                yield Member(header.name, begin, header.size)
            else:
                yield BadHeader(_printable(header.name), fault)


def _fault(header: tarfile.TarInfo, max_member_bytes: int) -> str | None:
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return f"is {KINDS.get(header.type, 'of a kind')} that no shard may hold"
    if header.size > max_member_bytes:
        return f"announces {header.size:,} bytes; at most {max_member_bytes:,} are read"
    if header.name in ("", ".", "..") or {"/", "\\", "\0"} & set(header.name):
        return "is not the plain name of a file: it could lead out of the folder"
    return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
