"""Deterministic tars: their bytes depend on their content only. Random access to their members.

Member names are `key.extension`. Keys have no dot, so that WebDataset never merges two samples. The
bytes are those of webdataset's own writer at a modification time of 0, but written with fewer
copies. Only the standard library is used.
"""

import errno
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pdm.files import atomic_file

BLOCK = 512  # bytes; headers and contents begin at multiples of it
END = bytes(BLOCK)
RECORD = 20 * BLOCK  # a tar's length is a multiple of it (POSIX pax, "blocking")
MAX_NAME_BYTES = 100  # of a plain ustar header
MAX_MEMBER_BYTES = 8**11 - 1  # eleven octal digits
BUFFER_BYTES = 2**20
WINDOW_BYTES = 8 * BLOCK  # holds a short member and the header after it: one read for both
REGULAR = (b"0", b"\0")  # type flags of a regular file, in POSIX and in older tars


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar: `size` bytes at `offset`."""

    name: str
    offset: int
    size: int


def write_tar(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> None:
    """Write a WebDataset tar atomically. Equal samples give equal bytes.

    Args:
        path: Replaced if it exists.
        samples: (key, {extension: content}) in the order of the tar.

    Raises:
        ValueError: A key is repeated, contains a dot or a slash, or is too long for a header.
    """
    with atomic_file(path) as temporary, temporary.open("wb", buffering=BUFFER_BYTES) as file:
        for name, content in _files_of(samples):
            file.write(_header(name, len(content)))
            file.write(content)
            file.write(bytes(-len(content) % BLOCK))
        file.write(2 * END)
        file.write(bytes(-file.tell() % RECORD))


def _files_of(samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> Iterator[tuple[str, bytes]]:
    keys: set[str] = set()
    for key, parts in samples:
        if not key or {".", "/"} & set(key):
            raise ValueError(f"key {key!r} must have letters, and neither a dot nor a slash")
        if key in keys:
            raise ValueError(f"key {key!r} is repeated; a reader would merge the two samples")
        keys.add(key)
        for extension in sorted(parts):
            yield f"{key}.{extension}", parts[extension]


def _blank() -> bytes:
    """The header of an empty file without a name. Its other fields are the same in all headers."""
    info = tarfile.TarInfo("")
    info.mode, info.uname, info.gname = 0o444, "bigdata", "bigdata"  # as webdataset writes them
    return info.tobuf(tarfile.USTAR_FORMAT)


_BLANK = _blank()
_OWNER, _TIME = _BLANK[100:124], _BLANK[136:148]
_TAIL = _BLANK[156:]
_BLANK_SUM = sum(_OWNER) + sum(_TIME) + sum(_TAIL) + 8 * ord(" ")


def _header(name: str, size: int) -> bytes:
    encoded = name.encode("ascii")
    if len(encoded) > MAX_NAME_BYTES or size > MAX_MEMBER_BYTES:
        raise ValueError(f"{name!r} with {size:,} bytes does not fit into a plain tar header")
    length = b"%011o\0" % size
    checksum = b"%06o\0 " % (_BLANK_SUM + sum(encoded) + sum(length))
    return encoded.ljust(MAX_NAME_BYTES, b"\0") + _OWNER + length + _TIME + checksum + _TAIL


def members(path: Path) -> list[Member]:
    """All members of a tar, in order. Reads headers only.

    Raises:
        tarfile.TarError: The tar is damaged, or contains something else than files; the text names
            the byte. (A header of zeros counts as the end: compare the count with the manifest.)
    """
    parsed: list[Member] = []
    handle = os.open(path, os.O_RDONLY)
    try:
        total = os.fstat(handle).st_size
        place, window, begin = 0, b"", 0
        while place < total:
            if place + BLOCK > begin + len(window):
                window, begin = _pread(handle, path, WINDOW_BYTES, place), place
            block = window[place - begin : place - begin + BLOCK]
            if block == END:
                return parsed
            member = _parse_header(block, place, total)
            parsed.append(member)
            place = member.offset + -(-member.size // BLOCK) * BLOCK
        return parsed
    finally:
        os.close(handle)


def member_after(path: Path, offset: int, size: int) -> Member | None:
    """The member that follows another one, of `size` bytes at `offset`; None if that is the last.

    Raises:
        tarfile.TarError: There is no header.
    """
    place = offset + -(-size // BLOCK) * BLOCK
    handle = os.open(path, os.O_RDONLY)
    try:
        total, block = os.fstat(handle).st_size, os.pread(handle, BLOCK, place)
    finally:
        os.close(handle)
    return None if block == END else _parse_header(block, place, total)


def num_whole_members(path: Path) -> int:
    """Number of complete members in a tar that is being written; 0 if it does not exist."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        count, place, total = 0, 0, os.fstat(handle).st_size
        while place + BLOCK <= total:
            member = _parse_header(os.pread(handle, BLOCK, place), place, total)
            count, place = count + 1, member.offset + -(-member.size // BLOCK) * BLOCK
    except tarfile.ReadError:
        pass  # the end of what was written so far
    finally:
        os.close(handle)
    return count


def _parse_header(block: bytes, place: int, total: int) -> Member:
    """The member that a header describes."""
    try:
        stated = int(block[148:156].rstrip(b"\0 "), 8)
        size = int(block[124:136].rstrip(b"\0 "), 8)
        name = block[:100].rstrip(b"\0").decode("ascii")
    except ValueError:
        raise tarfile.ReadError(f"no header at byte {place:,}") from None
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != stated:
        raise tarfile.ReadError(f"the header at byte {place:,} does not match its checksum")
    if block[156:157] not in REGULAR or block[345:346] != b"\0" or "/" in name:
        raise tarfile.ReadError(f"{name!r} at byte {place:,} is not a regular file")
    if size < 0 or place + BLOCK + size > total:
        raise tarfile.ReadError(f"{name!r} announces {size:,} bytes, more than the tar has")
    return Member(name, place + BLOCK, size)


def read_at(path: Path, offset: int, size: int) -> bytes:
    """The bytes of one member; fewer if the file ends earlier."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return _pread(handle, path, size, offset)
    finally:
        os.close(handle)


def _pread(handle: int, path: Path, size: int, offset: int) -> bytes:
    """Like `os.pread`, but reads until the end of the range, and names the file in errors."""
    try:
        content = os.pread(handle, size, offset)
        while 0 < len(content) < size:  # one call reads at most 2 GiB
            more = os.pread(handle, size - len(content), offset + len(content))
            if not more:
                break
            content += more
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror, str(path)) from None
    return content


def read_members(path: Path) -> dict[str, bytes]:
    """Every member's content by name, for small tars."""
    content = memoryview(path.read_bytes())
    return {m.name: bytes(content[m.offset : m.offset + m.size]) for m in members(path)}
