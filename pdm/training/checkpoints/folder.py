"""The checkpoints of a run: `<run>/checkpoints/000012800/`, named by the images seen.

A run resumes from the newest intact checkpoint; damaged ones are skipped with a warning. A thread
writes one checkpoint at a time while training continues (`pdm.training.checkpoints.contents`). An
old checkpoint is removed only after the new one is complete on disk. `best.json` names the
checkpoint with the best score, which is kept, too, as are those at multiples of
`training.keep_every_images`. `scored.json` names the last one with a score: a checkpoint that a
kill left without one is scored when the run resumes.
"""

import json
import logging
import math
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from pdm import ema
from pdm.errors import QualityGate, Unavailable
from pdm.files import write_json
from pdm.machine.threads import side_thread
from pdm.training.checkpoints.contents import Contents
from pdm.training.checkpoints.sharded_files import load_whole
from pdm.training.checkpoints.snapshots import CHECKPOINTS, Marks
from pdm.training.loop.state import TrainState, check_checkpoint

logger = logging.getLogger(__name__)

BEST = "best.json"
SCORED = "scored.json"


def list_checkpoints(run: Path) -> list[int]:
    """List the images seen by each checkpoint of a run, oldest first, including damaged ones."""
    folder = run / CHECKPOINTS
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdigit())


def record_scored(folder: Path, images_seen: int) -> None:
    """Note in a folder of checkpoints that those up to `images_seen` have their scores."""
    write_json(folder / SCORED, {"images_seen": images_seen})


def is_scored(folder: Path, images_seen: int) -> bool:
    """Whether a checkpoint has its score."""
    found = _read_json(folder / SCORED)
    if found is None:  # a run of an earlier version, unless it is the first checkpoint
        return _read_json(folder / BEST) is not None
    return images_seen <= int(found["images_seen"])


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


class Checkpoints:
    """The folder of a run's checkpoints.

    Args:
        folder: Created with the first checkpoint.
        keep: Number of newest checkpoints to keep, besides the best; older ones are removed.
        keep_every: Also keep those at multiples of this many images; None: none.
    """

    def __init__(self, folder: Path, keep: int, keep_every: int | None = None) -> None:
        self.folder, self.keep, self.keep_every = folder, keep, keep_every
        self._writer = side_thread("checkpoints")
        self._writing: Future[None] | None = None

    def begin(self, state: TrainState, marks: Marks | None = None) -> None:
        """Write the state in a thread, after waiting for the previous write. With sharded weights,
        every worker must call this. Before the state changes, call its `wait_for_reader`.

        Args:
            state: State to save.
            marks: If the checkpoint is a mark, its EMA snapshots stay in `ema/` when it is removed.

        Raises:
            Unavailable: The previous checkpoint could not be written.
        """
        self.flush()
        self._writing = self._writer.submit(self._keep, state.contents(), marks)

    def flush(self) -> None:
        """Wait until the last checkpoint is on disk.

        Raises:
            Unavailable: It could not be written; older checkpoints are still there.
        """
        if writing := self._writing:
            self._writing = None
            try:
                writing.result()
            except (OSError, SafetensorError) as error:
                raise Unavailable(
                    f"no checkpoint could be written to {self.folder} ({error}); the older ones "
                    "are still there. Free some space, and run the same command again"
                ) from error

    def failed(self) -> bool:
        """Whether the last write is known to have failed; `flush` then raises the reason."""
        writing = self._writing
        return writing is not None and writing.done() and writing.exception() is not None

    def save(self, state: TrainState) -> None:
        """Write a checkpoint of the state, and wait for it."""
        self.begin(state)
        self.flush()

    def record_score(self, images_seen: int, score: float) -> None:
        """Record the score of the checkpoint at `images_seen`; smaller is better. One that is not
        finite is never the best."""
        before = self._best()
        if not math.isfinite(score):
            logger.warning("the score of the checkpoint at image %d is %f", images_seen, score)
        elif before is None or score < before["score"]:
            write_json(self.folder / BEST, {"images_seen": images_seen, "score": score})
        record_scored(self.folder, images_seen)

    def newest(self) -> int | None:
        """Images seen by the newest intact checkpoint; None if there is no checkpoint yet.

        Raises:
            QualityGate: All checkpoints are damaged. Starting over without being asked would
                silently discard the run.
        """
        found = self._all()
        for path in reversed(found):
            try:
                check_checkpoint(path)
            except ValueError as error:
                logger.warning("skipping a damaged checkpoint: %s", error)
            else:
                return int(path.name)
        if found:
            raise QualityGate(
                f"all checkpoints in {self.folder} are damaged; restore one, or remove the folder "
                "to start over"
            )
        return None

    def path(self, images_seen: int) -> Path:
        """Folder of the checkpoint at `images_seen`."""
        return self.folder / f"{images_seen:09}"

    def best(self) -> int | None:
        """Images seen by the checkpoint with the best score; None if none was scored."""
        found = self._best()
        return int(found["images_seen"]) if found else None

    def remove_old(self) -> None:
        """Remove all checkpoints but the newest `keep`, the best and those of `keep_every`."""
        self._remove_old(self._all())

    def _keep(self, contents: Contents, marks: Marks | None) -> None:
        """Write a checkpoint, then remove old ones."""
        path = self.path(contents.images_seen)

        def write_snapshots(checkpoint: Path) -> None:
            if marks is not None and marks.include(contents.images_seen):
                self._write_snapshots(checkpoint, contents, marks)

        contents.write(path, write_snapshots)
        if contents.is_first:
            self._remove_old([other for other in self._all() if other.name <= path.name])

    def _write_snapshots(self, checkpoint: Path, contents: Contents, marks: Marks) -> None:
        folder = self.folder / ema.FOLDER
        for length in marks.lengths:
            file = f"ema-{length}"
            whole = contents.files[file] if contents.is_whole else load_whole(checkpoint, file)
            ema.write_snapshot(folder / ema.snapshot_name(contents.images_seen, length), whole)
        marks.thin(folder, contents.images_seen)

    def _remove_old(self, checkpoints: list[Path]) -> None:
        """Remove these, oldest first, except the newest `keep`, the best and those of
        `keep_every`."""
        best = self.best()
        for old in checkpoints[: -self.keep]:
            images_seen = int(old.name)
            is_milestone = self.keep_every is not None and images_seen % self.keep_every == 0
            if images_seen != best and not is_milestone:
                shutil.rmtree(old, ignore_errors=True)

    def _best(self) -> dict[str, Any] | None:
        return _read_json(self.folder / BEST)

    def _all(self) -> list[Path]:
        """List all checkpoints, oldest first."""
        if not self.folder.exists():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())
