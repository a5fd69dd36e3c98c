"""A cache of encoded crops, so that a run cuts only new pictures.

A folder with one file for each crop. Its name is a hash of everything that the crop depends on: the
source's content, the box, the size, the encoding, and the code that cuts. Its first 32 bytes are
the sha256 of the rest, so that a damaged crop is noticed and cut again. The cache is written while
pictures are cut, so that an interrupted run continues from there. It is outside DVC, which clears a
stage's outputs before it runs. Deleting it costs only time.

It contains the crops of the last version of the shards, and none of pictures that left them.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pdm.config.stages.shard import ShardConfig
from pdm.data.code import code_version, modules_behind
from pdm.data.decisions import Row
from pdm.disk_full import naming_full_disk

# All code that affects a crop's bytes: what the writer imports, without what only carries crops.
CUTTING = modules_behind(
    "pdm.curation.shard.write",
    leave_out=(
        *("pdm.config", "pdm.errors", "pdm.files", "pdm.data.code", "pdm.data.decisions"),
        *("pdm.curation.shard.crops", "pdm.data.shards.manifest", "pdm.data.shards.tars"),
    ),
)
COLUMNS = (
    *("sha256", "width_px", "height_px", "background", "target_width_px", "target_height_px"),
    *("crop_left_px", "crop_top_px", "crop_width_px", "crop_height_px"),
)
NUM_DIGEST_BYTES = 32
TEMPORARY = ".tmp-"


class CropCache:
    """Encoded crops by their row. Safe for many processes.

    Args:
        folder: Is created when something is stored.
        config: How crops are encoded.
    """

    def __init__(self, folder: Path, config: ShardConfig) -> None:
        self._folder = folder
        quality = config.jpeg_quality if config.encoding == "jpeg" else None
        self._made_by = [code_version(CUTTING), config.encoding, quality]

    def look_up(self, row: Row) -> bytes | None:
        """The encoded crop of a kept image; None if it has to be cut."""
        try:
            stored = self._path(row).read_bytes()
        except FileNotFoundError:
            return None
        digest, image = stored[:NUM_DIGEST_BYTES], stored[NUM_DIGEST_BYTES:]
        return image if hashlib.sha256(image).digest() == digest else None

    def store(self, row: Row, image: bytes) -> None:
        """Store the encoded crop of a kept image.

        Raises:
            DiskFull: The disk is full; the error names the cache's folder.
        """
        path = self._path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{path.name}")
        try:
            with naming_full_disk(self._folder, self._folder):
                temporary.write_bytes(hashlib.sha256(image).digest() + image)
                with suppress(FileNotFoundError):  # another run has just removed it
                    temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # frees space if the disk is full
            raise

    def prune(self, rows: Iterable[Row]) -> list[Row]:
        """Delete all crops except those of these rows; return the rows without a crop."""
        wanted = {self._path(row).name: row for row in rows}
        for path in self._folder.glob("*/*"):
            if path.name in wanted:
                del wanted[path.name]
            elif path.name.removeprefix(TEMPORARY) not in wanted:
                path.unlink(missing_ok=True)
        return list(wanted.values())

    def _path(self, row: Row) -> Path:
        text = json.dumps([*self._made_by, *(row[name] for name in COLUMNS)])
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / name
