"""Atomic writing: a file or folder that exists under its final name is complete.

Everything is written next to its destination under a temporary name, flushed to disk and renamed. A
kill at any time leaves the old version or the new one, and at worst a `.tmp-*` that the next writer
of the same name removes. (When a folder is replaced, a kill between two renames may leave the old
version as `.old-*`; the next writer restores it first.) If two processes write the same folder at
once, the second is refused.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pdm.disk_full import naming_full_disk
from pdm.errors import BadInput, Unavailable


def _permissions_of_new_files() -> int:
    mask = os.umask(0)  # it cannot be read without setting it
    os.umask(mask)
    return 0o666 & ~mask


NEW_FILE = _permissions_of_new_files()
ROOM_FOR_UNFINISHED = 32  # bytes before and after a name: `.part-NAME-0123456789abcdef`


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path; rename it to `path` if the block succeeds, remove it if not.

    Raises:
        DiskFull: The disk filled up; the error names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        with naming_full_disk(path, temporary):
            yield temporary
            _share(temporary)
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; it replaces `path` if the block succeeds.

    The old folder is moved aside first and removed last, so `path` is never an incomplete folder.

    Raises:
        DiskFull: The disk filled up; the error names `path`.
        Unavailable: Another process is writing the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        yield from _written_folder(path)


def _written_folder(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".tmp-{path.name}")
    _remove(temporary)
    _settle(path, _old(path))
    temporary.mkdir()
    try:
        with naming_full_disk(path, temporary):
            yield temporary
            replace_folder(temporary, path)
    finally:
        _remove(temporary)
        _settle(path, _old(path))


def replace_folder(complete: Path, path: Path) -> None:
    """Flush a complete folder to disk and rename it to `path`, on the same file system. What was
    there is moved aside first and removed last. Call it as the only writer of `path`."""
    old = _old(path)
    _settle(path, old)
    for file in sorted(complete.rglob("*")):
        if file.is_file():
            _share(file)
            _flush(file)
    try:
        if os.path.lexists(path):  # a broken link, too
            path.replace(old)
        complete.replace(path)
        _flush(path.parent)
    finally:
        _settle(path, old)


def _old(path: Path) -> Path:
    return path.with_name(f".old-{path.name}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON: equal values give equal bytes. NaN is refused."""
    with atomic_file(path) as temporary:
        text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output_file(path: Path, how: str = "name another file with --output") -> None:
    """Check that a file can be written, before the work whose result it will be. Writes nothing.

    Args:
        path: Of the file, which may exist.
        how: What to do otherwise, for the error.

    Raises:
        BadInput: It is a folder, its name is too long, or its folder cannot be written to.
    """
    folder = check_output_folder(path.parent, how)
    longest = os.pathconf(folder, "PC_NAME_MAX") - ROOM_FOR_UNFINISHED
    if len(os.fsencode(path.name)) > longest:
        raise BadInput(f"{path} has a name of more than {longest} bytes; {how}")
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a file to write; {how}")


def check_output_folder(path: Path, how: str = "name another folder with --output") -> Path:
    """Check that files can be written into a folder. Writes nothing.

    Args:
        path: Of the folder, which need not exist.
        how: What to do otherwise, for the error.

    Returns:
        The nearest folder that exists: this one, or one that it would be made in.

    Raises:
        BadInput: A file stands in its place, or it cannot be written to.
    """
    # `Path.exists` would raise an error for a part that is too long.
    nearest = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise BadInput(f"{nearest} is a file, not a folder to write into; {how}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise BadInput(f"{nearest} is a folder that you may not write into; {how}")
    return nearest


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, sha256: str, section: str) -> None:
    """Check that a file is the one that a section of the params means, by its digest.

    Args:
        path: What `path` of the section leads to.
        sha256: The section's own.
        section: Its dotted name, for the error.

    Raises:
        BadInput: The file cannot be read, or has another sha256.
    """
    try:
        digest = sha256_of(path)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise BadInput(
            f"{section}.path: {path} cannot be read ({why}); correct the path"
        ) from error
    if digest != sha256:
        raise BadInput(
            f"{section}.path: {path} has sha256 {digest}, but {section}.sha256 is {sha256}; "
            "correct the path or the sha256"
        )


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Hold a lock on `.lock-<name>` next to `path`. The system releases it when the process ends,
    however it ends; a leftover file locks nobody out.

    Raises:
        Unavailable: Another process holds it.
    """
    lock = path.with_name(f".lock-{path.name}")
    handle = _locked(lock, path)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked(lock: Path, path: Path) -> int:
    """Lock the file, and return its file descriptor."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            writer = os.pread(handle, 20, 0).decode() or "unknown"
            os.close(handle)
            raise Unavailable(
                f"{path} is being written by process {writer}; wait for it, or stop it"
            ) from None
        # The previous holder may have removed the file meanwhile; then the lock is void.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), lock.stat()):
                return handle
        os.close(handle)


def _settle(path: Path, old: Path) -> None:
    """Restore the old version if no new one has replaced it; otherwise remove it."""
    if old.exists() and not path.exists():
        old.replace(path)
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _share(path: Path) -> None:
    """Give a file that nobody but its owner can read, as safetensors makes them, the permissions of
    other new files."""
    if path.stat().st_mode & 0o777 == 0o600:
        path.chmod(NEW_FILE)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
