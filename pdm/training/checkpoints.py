"""The checkpoints of a run: `<run>/checkpoints/000012800/`, named by the images seen.

The newest whole one is what a run goes on from; a damaged one is passed over, and said to be.
"""

import logging
import shutil
from pathlib import Path

from pdm.training.state import TrainState, check

logger = logging.getLogger(__name__)


class Checkpoints:
    """The folder that keeps them.

    Args:
        folder: Made at the first `save`.
        keep: As many of the newest stay; older ones are removed.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save(self, state: TrainState) -> None:
        """Keep a checkpoint of the state, then let go of the oldest."""
        path = self.path(state.images_seen)
        state.save(path)
        older = [other for other in self._all() if other.name <= path.name]
        for old in older[: -self.keep]:
            shutil.rmtree(old)

    def newest(self) -> int | None:
        """Images seen of the newest whole checkpoint, or None if there is none."""
        for path in reversed(self._all()):
            try:
                check(path)
            except ValueError as error:
                logger.warning("passing over a checkpoint: %s", error)
            else:
                return int(path.name)
        return None

    def path(self, images_seen: int) -> Path:
        """Where the checkpoint of that progress lies."""
        return self.folder / f"{images_seen:09}"

    def remove(self) -> None:
        """Remove all: the run has finished, and nothing may go on from here."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[Path]:
        """Oldest first."""
        if not self.folder.exists():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())
