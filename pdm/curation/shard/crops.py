"""Finished crops of earlier runs, encoded, so that a run cuts new pictures alone.

A folder with a file for each crop. Its name is a hash of all that the crop depends on: the source's
content, the box, the size, the encoding, and the code that cuts; its first 32 bytes are the sha256
of the rest, so that a damaged one is noticed and cut again. It is written while pictures are cut,
so that a run that is cut off goes on from there. It lies outside DVC, which clears a stage's
outputs before it runs. To delete it costs only time.

It holds what the last version of the shards holds, and nothing of a picture that left them.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pdm.config.shard import ShardConfig
from pdm.data.code import code_version, modules_behind
from pdm.data.decisions import Row

# All code that has a part in a crop's bytes; a test holds the list against the imports.
CUTTING = (
    "pdm.curation.shard.write",
    *modules_behind("pdm.data.decoding.pixels"),
)
COLUMNS = (
    *("sha256", "width_px", "height_px", "background", "target_width_px", "target_height_px"),
    *("crop_left_px", "crop_top_px", "crop_width_px", "crop_height_px"),
)
NUM_DIGEST_BYTES = 32
ARRIVING = ".tmp-"


class CropCache:
    """Encoded crops by their row. Safe for many processes.

    Args:
        folder: Made when something is kept.
        config: How crops are encoded.
    """

    def __init__(self, folder: Path, config: ShardConfig) -> None:
        self._folder = folder
        quality = config.jpeg_quality if config.encoding == "jpeg" else None
        self._made_by = [code_version(CUTTING), config.encoding, quality]

    def find(self, row: Row) -> bytes | None:
        """The encoded crop of a kept image; None if it has to be cut."""
        try:
            stored = self._path(row).read_bytes()
        except FileNotFoundError:
            return None
        digest, image = stored[:NUM_DIGEST_BYTES], stored[NUM_DIGEST_BYTES:]
        return image if hashlib.sha256(image).digest() == digest else None

    def keep(self, row: Row, image: bytes) -> None:
        """Remember the encoded crop of a kept image."""
        path = self._path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        arriving = path.with_name(f"{ARRIVING}{path.name}")
        try:
            arriving.write_bytes(hashlib.sha256(image).digest() + image)
            with suppress(FileNotFoundError):  # another run has just cleared it away
                arriving.replace(path)
        except OSError:
            arriving.unlink(missing_ok=True)  # a full disk gets its room back
            raise

    def prune(self, rows: Iterable[Row]) -> list[Row]:
        """Forget all crops but those of these rows; gives the rows whose crops are not there."""
        wanted = {self._path(row).name: row for row in rows}
        for path in self._folder.glob("*/*"):
            if path.name in wanted:
                del wanted[path.name]
            elif path.name.removeprefix(ARRIVING) not in wanted:
                path.unlink(missing_ok=True)
        return list(wanted.values())

    def _path(self, row: Row) -> Path:
        text = json.dumps([*self._made_by, *(row[name] for name in COLUMNS)])
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / name
