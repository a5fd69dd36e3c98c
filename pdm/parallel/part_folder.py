"""A folder that is written by parts, appears whole, and survives a kill.

    with part_folder(Path("samples"), key) as folder:     # .part-samples-<key>/
        if not folder.is_done("000000"):
            ...                                           # write into folder.files
            folder.finish("000000", {"files": 16})        # after its files are on the disk

At the end of the block `folder.files` is renamed to its final name. If the block fails or the
process is killed, finished parts stay, and the next writer with the same key goes on with the
missing ones. The key covers everything that the content depends on; parts of another key are
removed.
"""

import glob
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdm.disk_full import naming_full_disk
from pdm.files import replace_folder, sole_writer, write_json

DIGITS = 16  # of a key in the name of a folder


@dataclass(frozen=True, slots=True)
class PartFolder:
    """A folder in the making. Several processes may write different parts at once."""

    files: Path  # becomes the final folder
    records: Path  # one JSON file for each finished part

    def is_done(self, part: str) -> bool:
        """Whether a part is finished."""
        return self._record(part).exists()

    def finish(self, part: str, record: Any) -> None:
        """Mark a part as finished. Its files must be complete and flushed (`atomic_file`).

        Args:
            part: Its name, a file name.
            record: What `record_of` will return; JSON.
        """
        write_json(self._record(part), record)

    def record_of(self, part: str) -> Any:
        """What `finish` was given for a finished part."""
        return json.loads(self._record(part).read_text(encoding="utf-8"))

    def absolute(self) -> "PartFolder":
        """The same folder, for processes with another working folder."""
        return PartFolder(self.files.absolute(), self.records.absolute())

    def done(self) -> set[str]:
        """Names of all finished parts."""
        return {file.stem for file in self.records.glob("[!.]*.json")}

    def discard(self) -> None:
        """Remove all parts, where another run could only fail in the same way."""
        for folder in (self.records, self.files):
            shutil.rmtree(folder, ignore_errors=True)

    def _record(self, part: str) -> Path:
        return self.records / f"{part}.json"


@contextmanager
def part_folder(path: Path, key: str) -> Iterator[PartFolder]:
    """Yield the folder in the making; it replaces `path` if the block succeeds.

    Args:
        path: Final name.
        key: Digest of everything that the content depends on, of 16 digits or more.

    Raises:
        DiskFull: The disk filled up; the error names `path`.
        Unavailable: Another process is writing the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".part-{path.name}-{key[:DIGITS]}")
    with sole_writer(path):
        # No more than a digest, or parts of "samples-2" would be removed with those of "samples".
        for other in path.parent.glob(f".part-{glob.escape(path.name)}-{'?' * DIGITS}"):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)
        folder = PartFolder(own / "files", own / "records")
        if not folder.files.exists():  # killed after the rename: the records' files are in `path`
            shutil.rmtree(folder.records, ignore_errors=True)
        for each in (folder.files, folder.records):
            each.mkdir(parents=True, exist_ok=True)
        with naming_full_disk(path, own):
            yield folder
            replace_folder(folder.files, path)
        shutil.rmtree(own, ignore_errors=True)
